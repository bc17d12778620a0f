//! Audio of simulated speech synthesis: valid files, as long as the spoken text. A tone for uncompressed formats,
//! silence for formats that need an encoder.

use std::{f64::consts::TAU, time::Duration};

use butt_dial_domain::ports::speech::AudioFormat;

/// About fifteen characters per second.
const PER_CHARACTER: Duration = Duration::from_millis(65);
const MAX_DURATION: Duration = Duration::from_secs(30);
const TONE: f64 = 440.0;
const VOLUME: f64 = 8_000.0;

/// Returns how long it takes to speak the text.
pub fn duration(text: &str) -> Duration {
    let characters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    PER_CHARACTER.saturating_mul(characters).min(MAX_DURATION)
}

/// Returns a file of this format and duration.
pub fn file(format: AudioFormat, duration: Duration) -> Vec<u8> {
    match format {
        AudioFormat::Mp3 => mp3(duration),
        AudioFormat::Ogg => ogg(duration),
        AudioFormat::Wav => crate::audio::wav(&pcm(duration, 24_000), 24_000),
    }
}

/// Marks the words in a simulated recording.
const WORDS: &[u8] = b"SIMULATED-WORDS:";

/// Returns a recording in which this is said: silence in Ogg, with the words after it.
pub fn recording(said: &str) -> Vec<u8> {
    [&ogg(duration(said))[..], WORDS, said.as_bytes()].concat()
}

/// Returns the words of a recording. `None`: it is no sound. A real recording has words that the simulator can't know.
pub fn said(file: &[u8]) -> Option<String> {
    let formats = [AudioFormat::Mp3, AudioFormat::Ogg, AudioFormat::Wav];
    formats.into_iter().find(|format| crate::audio::is(*format, file))?;
    let words = file.windows(WORDS.len()).rposition(|window| window == WORDS);
    Some(words.map_or_else(
        || "Simulated words of a recording.".to_owned(),
        |at| String::from_utf8_lossy(&file[at + WORDS.len()..]).into_owned(),
    ))
}

/// Returns a tone: signed, 16 bits, little-endian, mono.
pub fn pcm(duration: Duration, rate: u32) -> Vec<u8> {
    let samples = (duration.as_secs_f64() * f64::from(rate)) as u32;
    let sample = |n: u32| (VOLUME * (TAU * TONE * f64::from(n) / f64::from(rate)).sin()) as i16;
    (0..samples.max(1)).flat_map(|n| sample(n).to_le_bytes()).collect()
}

/// MPEG-1 layer III, mono, 44.1 kHz, 128 kbit/s. A header with a frame of zeros is silence (ISO 11172-3, 2.4.1).
fn mp3(duration: Duration) -> Vec<u8> {
    const HEADER: [u8; 4] = [0xff, 0xfb, 0x90, 0xc0];
    const FRAME: usize = 417;
    const FRAMES_PER_SECOND: f64 = 44_100.0 / 1_152.0;
    let frames = (duration.as_secs_f64() * FRAMES_PER_SECOND).ceil() as usize;
    let mut frame = HEADER.to_vec();
    frame.resize(FRAME, 0);
    frame.repeat(frames.max(1))
}

/// Opus in Ogg, mono, one packet of silence per 20 ms (RFC 7845; RFC 6716, 3.1).
fn ogg(duration: Duration) -> Vec<u8> {
    const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
    const PACKET: Duration = Duration::from_millis(20);
    const SAMPLES: u64 = 960;
    /// One second.
    const PACKETS_IN_A_PAGE: usize = 50;
    const FIRST: u8 = 2;
    const LAST: u8 = 4;
    // Version 1, one channel, no pre-skip, 48 kHz, no gain, mapping family 0.
    let head = [b"OpusHead".as_slice(), &[1, 1, 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0]].concat();
    let tags = [
        b"OpusTags".as_slice(),
        &9_u32.to_le_bytes(),
        b"simulated",
        &0_u32.to_le_bytes(),
    ]
    .concat();
    let packets = (duration.as_millis().div_ceil(PACKET.as_millis())).max(1) as usize;
    let mut file = page(FIRST, 0, 0, &[&head]);
    file.extend(page(0, 0, 1, &[&tags]));
    let (mut written, mut number) = (0, 2);
    while written < packets {
        let now = (packets - written).min(PACKETS_IN_A_PAGE);
        written += now;
        let flags = if written == packets { LAST } else { 0 };
        file.extend(page(
            flags,
            written as u64 * SAMPLES,
            number,
            &vec![SILENCE.as_slice(); now],
        ));
        number += 1;
    }
    file
}

/// Returns a page of packets shorter than 255 bytes (RFC 3533, 6).
fn page(flags: u8, granule: u64, number: u32, packets: &[&[u8]]) -> Vec<u8> {
    const SERIAL: u32 = 0x6275_7474;
    const CHECKSUM: std::ops::Range<usize> = 22..26;
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(granule.to_le_bytes());
    page.extend(SERIAL.to_le_bytes());
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    page.push(packets.len() as u8);
    page.extend(packets.iter().map(|packet| packet.len() as u8));
    page.extend(packets.concat());
    let checksum = checksum(&page);
    page[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
    page
}

/// CRC-32 with polynomial 0x04c11db7, not reflected, initial value 0.
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _: u32| (crc << 1) ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
    bytes
        .iter()
        .fold(0, |crc, byte| (0..8).fold(crc ^ (u32::from(*byte) << 24), step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio;

    #[test]
    fn audio_files_have_their_format_and_text_length() {
        for format in [AudioFormat::Mp3, AudioFormat::Ogg, AudioFormat::Wav] {
            let (short, long) = (file(format, duration("Hi")), file(format, duration(&"Hi".repeat(100))));
            assert!(audio::is(format, &short) && audio::is(format, &long), "{format:?}");
            assert!(short.len() < long.len(), "{format:?}");
        }
        assert_eq!(duration("0123456789"), Duration::from_millis(650));
    }

    #[test]
    fn ogg_page_has_valid_checksum() {
        // The check value of CRC-32/MPEG-2 with initial value and final XOR of 0.
        assert_eq!(checksum(b"123456789"), 0x89a1_897f);
        let mut page = page(2, 0, 0, &[b"x"]);
        let stored = u32::from_le_bytes(page[22..26].try_into().unwrap());
        page[22..26].fill(0);
        assert_eq!(stored, checksum(&page));
    }
}
