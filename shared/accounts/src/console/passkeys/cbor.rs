//! The few shapes of CBOR that authenticators send.

use ciborium::Value;

/// Attestations and keys nest three levels.
const MAX_DEPTH: usize = 8;

/// Reads one value. Returns it with the bytes after it.
pub fn read(bytes: &[u8]) -> Option<(Value, &[u8])> {
    let mut rest = bytes;
    let value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_DEPTH).ok()?;
    Some((value, rest))
}

/// Returns the field of a map. `None`: there is none, or there are several, of which different readers choose different ones.
pub fn field<'a>(map: &'a Value, name: &Value) -> Option<&'a Value> {
    let mut found = map.as_map()?.iter().filter(|(other, _)| other == name);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(value)
}

/// Returns an integer that fits.
pub fn number(value: &Value) -> Option<i64> {
    value.as_integer()?.try_into().ok()
}
