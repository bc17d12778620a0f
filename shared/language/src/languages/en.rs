//! English.

use super::Language;

// Parts of patterns.

macro_rules! messages {
    () => {
        "texts|messages|msgs|emails|mails|sms|calls|spam|ads|notifications|alerts|newsletters|newsletter|promotions|promos|offers|text_messages|mailings|updates"
    };
}

macro_rules! these {
    () => {
        "[these|those|the|this|all|your|any|more|any_more|all_these|all_the|such]"
    };
}

macro_rules! would_you {
    () => {
        "[can_you|could_you|would_you|will_you|i_want_you_to|you_need_to|you_must|can_you_please|could_you_please|would_you_please]"
    };
}

macro_rules! again {
    () => {
        "[again|anymore|any_more|ever_again|ever|at_all|in_the_future|with_this]"
    };
}

macro_rules! lists {
    () => {
        "list|lists|mailing_list|mailing_lists|contact_list|contacts|email_list|text_list|sms_list|distribution_list|database|call_list|calling_list|messages|texts|emails|this|newsletter|everything"
    };
}

pub(super) const LANGUAGE: Language = Language {
    code: "en",
    // `cancel`, `end`, `quit`, `revoke` and `remove` are keywords by law (47 CFR 64.1200(a)(10)), but only alone: "please
    // cancel" is about an appointment. "Stop it", "no", "no more" and "enough" answer too many other questions.
    stop: &[
        "stop|stopall|unsubscribe|unsub|optout|unsuscribe|unsubcribe|unsubscibe|unsubscribed",
        "stop|opt all|out",
        "unsubscribe all",
        concat!(
            would_you!(),
            " stop|quit texting|messaging|contacting|emailing|mailing|calling|spamming|bothering|harassing|pestering|phoning [me|us|this_number|my_number] ",
            again!()
        ),
        concat!(would_you!(), " stop|quit writing|talking to me|us ", again!()),
        concat!(
            would_you!(),
            " stop|quit sending [me|us|to_me] ",
            these!(),
            " ",
            messages!()
        ),
        concat!(would_you!(), " stop|end|cancel ", these!(), " ", messages!()),
        "stop|cancel|end subscription|text_message_subscription",
        concat!(would_you!(), " remove|delete|take_off me [now]"),
        concat!(
            would_you!(),
            " remove|delete me from [this|your|the|all|any|all_your] ",
            lists!()
        ),
        concat!(
            would_you!(),
            " remove|delete my number|phone_number [from_your_list|from_the_list|from_this_list|from_your_lists|from_your_database|from_your_system]"
        ),
        concat!(
            would_you!(),
            " remove|delete my phone|email|email_address|address|contact|details|contact_details|name from_your_list|from_the_list|from_this_list|from_your_lists|from_your_database|from_your_system"
        ),
        concat!(would_you!(), " take me off [of|from]"),
        concat!(would_you!(), " take me off [of|from] [this|your|the|all] ", lists!()),
        concat!(
            would_you!(),
            " unsubscribe|opt me [out|from_this|from_all|from_your|from_the] [",
            lists!(),
            "]"
        ),
        concat!("unsubscribe|opt_out from [this|your|the|all|all_your] ", lists!()),
        concat!("opting|opt out [of|from] [this|your|the|these|all] ", lists!()),
        "[im] opting out",
        "[i] opt out",
        "stop|quit sending me|us these|this|those|stuff|things",
        concat!(
            "[i_want_to|i_would_like_to|id_like_to|i_wish_to] stop receiving [these|those|this|all|your|any|more|the] ",
            messages!()
        ),
        "i want|wish|would_like|like|d_like|need to unsubscribe|opt_out|be_removed|be_removed_from_your_list|be_taken_off_your_list",
        "id like to unsubscribe|opt_out|be_removed",
        "i want|wish out|off",
        concat!(
            "do_not|dont|never|please_do_not contact|text|call|message|email|phone me|us|this_number ",
            again!()
        ),
        "do_not|dont contact|text|message",
        concat!("do_not|dont send me|us [any|any_more|more|these] ", messages!()),
        concat!("do_not|dont send [any|any_more|more|these] ", messages!()),
        concat!("no more|further [of_these|of_your] ", messages!(), " [please]"),
        "no more texting|calling|messaging",
        "leave me|us alone",
        "lose|forget|erase my number",
        concat!(
            "i no_longer|dont|do_not want|wish [to] [receive|get|receiving|hear] [these|any|your|any_more|more|the] ",
            messages!(),
            " [from_you|from_this_number|anymore|again]"
        ),
        concat!("i no_longer|dont|do_not want|wish to hear from you ", again!()),
        "revoke|withdraw|revoking [my] consent|permission",
        "i revoke|withdraw|hereby_revoke [my] consent|permission",
    ],
    stop_alone: &["cancel|end|quit|revoke|remove"],
    start: &[
        "start|unstop|resubscribe",
        "opt in",
        "optin",
        "subscribe|resubscribe me",
        "start again",
    ],
    help: &["help|info"],
    polite: &[
        "please",
        "pls",
        "plz",
        "please and thank you",
        "thank you",
        "thank you very much",
        "thanks",
        "thank u",
        "thx",
        "ty",
        "thanks a lot",
        "many thanks",
        "now",
        "right now",
        "immediately",
        "asap",
        "at once",
        "already",
        "hi",
        "hello",
        "hey",
        "good morning",
        "good afternoon",
        "good evening",
        "dear sir",
        "dear madam",
        "sir",
        "madam",
        "ok",
        "okay",
        "sorry",
        "kindly",
        "just",
        "this",
        "and",
        "i said",
        "enough",
        "who is this",
        "who are you",
        "wrong number",
        "you have the wrong number",
        "not interested",
        "im not interested",
        "i am not interested",
        "no thanks",
        "no thank you",
        "forever",
        "for good",
    ],
    closings: &[
        "thanks",
        "thank you",
        "many thanks",
        "best",
        "best regards",
        "kind regards",
        "regards",
        "warm regards",
        "cheers",
        "sincerely",
        "yours sincerely",
        "yours truly",
        "br",
        "kr",
        "rgds",
        "thx",
    ],
    signatures: &[
        "sent from",
        "sent via",
        "sent with",
        "sent by",
        "get outlook for",
        "download outlook",
        "yahoo mail:",
        "powered by",
        "this email and any",
        "this message was sent from",
        "confidentiality notice",
    ],
    wrote: &["wrote"],
    acknowledgements: &[
        "uh huh",
        "uhhuh",
        "mm hmm",
        "mhm",
        "mm hm",
        "mmhm",
        "mm",
        "yeah",
        "yep",
        "yup",
        "yes",
        "ya",
        "okay",
        "ok",
        "okey",
        "okay then",
        "alright",
        "all right",
        "right",
        "sure",
        "i see",
        "got it",
        "gotcha",
        "go on",
        "exactly",
        "of course",
        "fine",
        "cool",
        "great",
        "good",
        "true",
        "uh",
        "oh",
        "ah",
        "aha",
        "oh okay",
        "makes sense",
        "understood",
        "absolutely",
        "definitely",
        "perfect",
        "nice",
        "wow",
        "sounds good",
        "thanks",
        "thank you",
    ],
    sounds: &[
        "mm", "mhm", "hm", "uh", "um", "uhm", "er", "erm", "ah", "oh", "eh", "huh", "hmph", "ugh", "tsk", "pff", "shh",
        "psst", "ahem", "ach", "hng", "mhmm", "mmhmm",
    ],
    months: &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
};
