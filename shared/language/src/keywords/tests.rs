//! The corpora of both kinds, START and HELP, and mail.

use super::*;

/// Returns the messages of a corpus.
fn corpus(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.replace("\\r", "\r").replace("\\n", "\n"))
        .collect()
}

#[test]
fn finds_stop_in_every_language() {
    let messages = corpus(include_str!("corpus/stop.txt"));
    let missed: Vec<_> = messages
        .iter()
        .filter(|text| keyword(text) != Some(Keyword::Stop))
        .collect();
    assert!(messages.len() > 100 && missed.is_empty(), "{missed:#?}");
}

#[test]
fn finds_no_keyword_in_other_messages() {
    let messages = corpus(include_str!("corpus/other.txt"));
    let found: Vec<_> = messages.iter().filter(|text| keyword(text).is_some()).collect();
    assert!(messages.len() > 100 && found.is_empty(), "{found:#?}");
}

#[test]
fn finds_start_and_help() {
    for text in [
        "Start",
        "START!",
        "unstop",
        "opt in",
        "старт",
        "スタート",
        "시작",
        "start\n\nSent from my iPhone",
    ] {
        assert_eq!(keyword(text), Some(Keyword::Start), "{text}");
    }
    for text in [
        "HELP?",
        "info",
        "ayuda",
        "Hilfe",
        "aide",
        "ヘルプ",
        "помощь",
        "مساعدة",
        "帮助",
        "yardım",
        "ajuda",
    ] {
        assert_eq!(keyword(text), Some(Keyword::Help), "{text}");
    }
    for text in [
        "yes",
        "sí",
        "ja",
        "please start",
        "start tomorrow",
        "please help",
        "can you help?",
        "start - Ann",
    ] {
        assert_eq!(keyword(text), None, "{text}");
    }
}

#[test]
fn case_and_width_of_all_words_are_ignored() {
    for text in ["stop", "arrêter", "отписаться", "διακοπή", "hủy đăng ký"] {
        assert_eq!(keyword(&text.to_uppercase()), Some(Keyword::Stop), "{text}");
    }
}

#[test]
fn reads_the_subject_and_the_own_text_of_mail() {
    for (subject, text) in [
        ("unsubscribe", ""),
        ("Unsubscribe", "\n\n-- \nAnn"),
        ("unsubscribe", "Please take me off, I never asked for this mail."),
        ("Re: offer", "STOP\n\n> On Monday agent wrote:\n> buy"),
        ("Re: offer", "Please unsubscribe me.\r\n-- \r\nAnn"),
        ("Re: offer", "Abmelden"),
        (
            "AW: Angebot",
            "Bitte abmelden\n\nAm 12.03.2026 um 10:00 schrieb Agent <a@b.example>:\n> Kaufen",
        ),
        (
            "Re: offer",
            "unsubscribe\n\nOn Mon, Mar 2, 2026 at 10:00 AM Agent\n<agent@b.example> wrote:\n\n> buy",
        ),
        (
            "RE: offer",
            "Stop\n\n-----Original Message-----\nFrom: Agent\nSent: Monday\nSubject: offer\n\nBuy now",
        ),
        (
            "RE: offer",
            "Stop\n\n________________________________\nFrom: Agent <a@b.example>\nSent: Monday\n\nBuy",
        ),
        (
            "RE: offer",
            "Stop\n\nVon: Agent\nGesendet: Montag\nAn: Ann\nBetreff: offer\n\nBuy",
        ),
        (
            "Re: oferta",
            "Darme de baja\n\nEl lun, 2 mar 2026 a las 10:00, Agent (<a@b.example>) escribió:\n> x",
        ),
        (
            "Re: offre",
            "Désabonnez-moi svp\n\nLe lun. 2 mars 2026 à 10:00, Agent a écrit :\n> x",
        ),
        ("Re: x", "> On Monday agent wrote:\n> buy\n\nSTOP"),
        (
            "Re: x",
            "Hi Bob,\n\nplease remove me from your list.\n\nKind regards,\nAnn Lee\nSales",
        ),
        (
            "Re: x",
            "STOP\nSent from Yahoo Mail on Android\n\nOn Monday, Agent wrote:\nbuy",
        ),
        ("退订", ""),
        ("Remove me", "please"),
        ("STOP", "Thanks, Ann"),
        ("Please stop", "Thank you!"),
        ("Stop emailing me", "Hi, it's Ann"),
    ] {
        assert_eq!(mail_keyword(subject, text), Some(Keyword::Stop), "{subject} {text:?}");
    }
    for (subject, text) in [
        ("Re: offer", "Yes please.\n\n> To unsubscribe, write STOP"),
        ("Re: Unsubscribe from spam", "How does it work?"),
        ("Stop", "by our shop on Monday, please"),
        ("Cancel", "my order 77"),
        ("Stop", "the delivery please"),
        ("Cancel", "Tuesday"),
        ("Fwd: stop", "Look at this"),
        ("Re: stop", "Sounds good"),
        ("Question", "How can I unsubscribe my colleague?"),
        ("", ""),
        ("Re: offer", "Great!\n\nOn Monday agent wrote:\nSTOP"),
        ("Re: offer", "> unsubscribe"),
        ("Order", "I want to cancel my subscription box tomorrow"),
    ] {
        assert_eq!(mail_keyword(subject, text), None, "{subject} {text:?}");
    }
    assert_eq!(mail_keyword("Re: x", "START"), Some(Keyword::Start));
}

#[test]
fn long_texts_are_no_keywords() {
    assert_eq!(keyword(&"stop ".repeat(5_000)), None);
    assert_eq!(keyword(&"stop ".repeat(30)), None);
    let long = "On ".repeat(6_000);
    assert_eq!(mail_keyword(&long, &long), None);
}

#[test]
fn any_text_is_read() {
    const PIECES: &[&str] = &[
        "stop",
        " ",
        "\n",
        "-",
        "- ",
        "Ann",
        ">",
        "--",
        "\n\n",
        "On Monday",
        " wrote:",
        "Sent from my ",
        "é",
        "日本",
        "\u{301}",
        "İ",
        "¿",
        "From: ",
        "a@b.c",
        "please",
        "bitte",
        "🛑",
        "\u{200d}",
        "'",
        "_____",
        "dừng",
        "\r\n",
        ":",
    ];
    let mut state: u64 = 3;
    let mut random = move |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for _ in 0..500 {
        let text: String = (0..random(12)).map(|_| PIECES[random(PIECES.len())]).collect();
        let found = keyword(&text);
        assert!(
            found.is_none() || text.to_lowercase().contains("stop") || text.contains("dừng"),
            "{text:?}"
        );
        mail_keyword(&text, &text);
    }
}

#[test]
fn long_mail_takes_little_time() {
    let started = std::time::Instant::now();
    for piece in ["x\n\n", "> quoted\n", "Thanks, Ann\n", "on 1 wrote\n", "- \n"] {
        assert_eq!(mail_keyword("Hi", &piece.repeat(100_000)), None, "{piece:?}");
    }
    assert!(
        started.elapsed() < std::time::Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}
