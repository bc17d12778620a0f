//! Spoken text: markup of every kind, text that looks like markup, and every division into chunks.

use super::{SpeechOptions, SpeechStream, speakable};

fn spoken(text: &str) -> String {
    speakable(text, &SpeechOptions::default())
}

const MARKUP: &[(&str, &str)] = &[
    (
        "**Sure!** Your order is *on its way* 😀",
        "Sure! Your order is on its way",
    ),
    (
        "***Really*** __bold__ _italic_ ~~old~~ new",
        "Really bold italic old new",
    ),
    ("**bold\nover lines** done", "bold over lines done"),
    ("**Note:**this **is**important", "Note:this isimportant"),
    ("这是**重点**内容。", "这是重点内容。"),
    ("**Sure! Your order is ready", "Sure! Your order is ready"),
    ("Your order is ready**", "Your order is ready"),
    ("*Sure", "Sure"),
    ("**😀 Sale** today", "Sale today"),
    ("# Heading\nText", "Heading. Text"),
    ("## Heading ##\n\nText", "Heading. Text"),
    ("Heading\n=======\nText", "Heading. Text"),
    ("###Heading\nText", "Heading. Text"),
    ("You need:\n- milk\n- eggs\n- bread", "You need: milk. eggs. bread"),
    ("* one\n* two\n  * nested\n+ three", "one. two. nested. three"),
    ("1. First\n2. Second\n3) Third", "First. Second. Third"),
    ("1. **Open** the door.\n\n2. Close it.", "Open the door. Close it."),
    ("1. Mai ist frei", "1. Mai ist frei"),
    ("- [ ] open\n- [x] done", "open. done"),
    ("• one\n• two", "one. two"),
    ("✅ Done\n✅ Next", "Done. Next"),
    ("> quoted\n> text\n\nanswer", "quoted text. answer"),
    ("Use `ls -l` now", "Use ls -l now"),
    ("``a ` b``", "a ` b"),
    ("```python\nprint(1)\n```\nDone", "print(1). Done"),
    ("~~~\nabc\n~~~", "abc"),
    ("a\n\n---\n\nb", "a. b"),
    ("a\n***\nb\n___\nc", "a. b. c"),
    (
        "| Day | Time |\n|-----|:----:|\n| Mon | 9:30 |\n| Tue | 10 |",
        "Day, Time. Mon, 9:30. Tue, 10",
    ),
    ("Day | Time\n--- | ---\nMon | 9\nTue | 10", "Day, Time. Mon, 9. Tue, 10"),
    ("[our office page](https://example.com/a)", "our office page"),
    ("See [the page](https://example.com/a_(b) \"Title\").", "See the page."),
    ("[**bold** link](https://example.com)", "bold link"),
    ("[text][ref] and more\n\n[ref]: https://example.com", "text and more"),
    ("See [[Page|the page]] or [[Other]]", "See the page or Other"),
    ("![a red car](https://example.com/car.png) is here", "a red car is here"),
    ("[![alt](https://e.example/i.png)](https://e.example)", "alt"),
    ("Go to https://www.example.com/a/b?c=d_e.", "Go to example.com."),
    (
        "<https://example.com/x> or <ann@example.com>",
        "example.com or ann@example.com",
    ),
    ("Write to [Ann](mailto:ann@example.com)", "Write to Ann"),
    ("mailto:ann@example.com?subject=x", "ann@example.com"),
    ("A fact[^1] and Paris[2].\n\n[^1]: The source.", "A fact and Paris."),
    ("A fact【4†source】.", "A fact."),
    ("a <b>bold</b> <i>word</i><br>next", "a bold word next"),
    ("<p>One</p><p>Two</p>", "One. Two"),
    ("<ul><li>One</li><li>Two</li></ul>", "One. Two"),
    (
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
        "a, b. c",
    ),
    ("Wait <break time=\"500ms\"/> a moment", "Wait a moment"),
    (
        "<speak><prosody rate=\"slow\">Hi</prosody> <say-as interpret-as=\"date\">12/24</say-as></speak>",
        "Hi 12/24",
    ),
    ("Hello <!-- a comment --> there", "Hello there"),
    ("<script>alert('x')</script>Hello", "Hello"),
    (
        "Fish &amp; chips &#8212; 5 &lt; 6&nbsp;&eacute;",
        "Fish & chips — 5 < 6 é",
    ),
    ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
    ("<think>Is it him?</think>Hello there.", "Hello there."),
    ("<thinking>\nA.\n\nB < C\n</thinking>\n\nHello there.", "Hello there."),
    ("Hello. <reasoning>never closed", "Hello."),
    ("<think>never closed", ""),
    ("Secret thoughts.</think>Hello there.", "Hello there."),
    ("<|im_start|>assistant\nHello<|im_end|>", "Hello"),
    (
        "<|channel|>analysis<|message|>The user.<|end|><|start|>assistant<|channel|>final<|message|>Hello<|return|>",
        "Hello",
    ),
    ("<tool_call>{\"name\":\"end\"}</tool_call>Bye", "Bye"),
    ("<function=end_call><parameter=a>1</parameter></function>Bye", "Bye"),
    (
        "Sure. {\"name\":\"end_call\",\"arguments\":{\"a\":\"}\"}} Bye",
        "Sure. Bye",
    ),
    ("[{\"type\": \"function\"}]\nBye", "Bye"),
    ("end_call({\"reason\": \"done\"}) Bye", "Bye"),
    ("```json\n{\"tool\": \"x\"}\n```\nBye", "Bye"),
    ("Bye {\"name\": \"x\", \"argum", "Bye"),
    (
        "{\"response\": \"**Hello** \\\"Ann\\\"\\nthere\"}",
        "Hello \"Ann\" there",
    ),
    ("```json\n{\"text\": \"Hello\", \"end\": true}\n```", "Hello"),
    (
        "{\"name\": \"say\", \"arguments\": {\"text\": \"x\"}, \"text\": \"y\"}",
        "",
    ),
    ("<img src=\"x.png\" alt=\"A cat\"> <![CDATA[text]]>", "A cat text"),
    ("🅰️ 🆗 fine", "fine"),
    ("5㎏ ㈱", "5kg (株)"),
    ("Hi 👨‍👩‍👧‍👦 there 👍🏽, ok 🇩🇪!", "Hi there, ok!"),
    ("Press 1️⃣ for sales", "Press 1 for sales"),
    ("Hi😀there", "Hi there"),
    ("😀, hello", "hello"),
    ("He\u{200b}llo \u{202e}the\u{2060}re\u{feff}\u{7}", "Hello there"),
    ("𝐁𝐨𝐥𝐝 ★★★☆☆", "Bold"),
    ("a  b\t c\r\nd", "a b c d"),
    ("  \n ", ""),
    ("😀 👍", ""),
    ("\\*not bold\\*", "*not bold*"),
    ("***", ""),
    ("A → B", "A B"),
    ("Great :tada: and :+1:", "Great and"),
    ("$5.00* per day\n\n*plus tax", "$5.00 per day. plus tax"),
    ("See [the page](https://exam", "See the page"),
    ("See [the page](htt", "See the page"),
];

/// Text that a voice reads as it is.
const UNCHANGED: &[&str] = &[
    "It costs $1,234.50 at 9:30 pm on 12/24.",
    "5 < 6",
    "3 > 2",
    "2 * 3 * 4",
    "2*3*4",
    "2 ** 3 is 8",
    "snake_case_name",
    "a_b",
    "C#",
    "#5",
    "*69",
    "Dial *69 or *70",
    "*100#",
    "Use * for times and _ for names",
    "at 9:30:15: now",
    "rate 5-10",
    "I'm",
    "a*b*c",
    "x = y == z",
    "I <3 you",
    "if a <b then c",
    "Mr. Smith, Dr. Jones & Co.",
    "50% of 3.5 is 1.75",
    "+49 (0)30 123456",
    "ann_lee@example.com",
    "1984. A novel",
    "The code is 12-34-56.",
    "-5 degrees",
    "~5 minutes",
    "{name}, [sic] (see below)",
    "Option [1] or [2]",
    "AT&T and R&D",
    "© 2026, 20 °C, 5 €",
    "¿Qué tal? ¡Bien!",
    "می‌خواهم",
    "क्‍या हाल है",
    "Wait... what?! No.",
    "\"Quoted,\" she said.",
    "C:\\dir",
    "1/2 cup",
    "A/B test",
    "He said: yes; then, no.",
];

#[test]
fn speaks_the_words_of_markup() {
    for (text, expected) in MARKUP {
        assert_eq!(spoken(text), *expected, "{text:?}");
    }
}

#[test]
fn keeps_text_that_is_not_markup() {
    for text in UNCHANGED {
        assert_eq!(spoken(text), *text);
    }
}

fn in_chunks(text: &str, sizes: impl Fn(usize) -> usize) -> String {
    let mut stream = SpeechStream::new(&SpeechOptions::default());
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut number, mut out) = (0, 0, String::new());
    while at < chars.len() {
        let end = (at + sizes(number).max(1)).min(chars.len());
        let chunk: String = chars[at..end].iter().collect();
        out.push_str(&stream.push(&chunk));
        (at, number) = (end, number + 1);
    }
    out.push_str(&stream.finish());
    out
}

#[test]
fn chunks_have_no_effect() {
    let all: Vec<&str> = MARKUP
        .iter()
        .map(|(text, _)| *text)
        .chain(UNCHANGED.iter().copied())
        .filter(|text| !text.starts_with("Secret"))
        .collect();
    let is_closed = |text: &&str| !text.contains("never closed") && !text.contains("argum");
    let closed: Vec<&str> = all.iter().copied().filter(is_closed).collect();
    let mut texts: Vec<String> = all.iter().map(|text| (*text).to_owned()).collect();
    texts.extend([closed.join("\n\n"), closed.join(" ")]);
    for text in &texts {
        let whole = spoken(text);
        for size in [1, 2, 3, 5, 7] {
            assert_eq!(in_chunks(text, |_| size), whole, "{size} {text:?}");
        }
        assert_eq!(in_chunks(text, |number| number * 31 % 11), whole, "{text:?}");
    }
}

/// Signs that a caller must not hear.
#[test]
fn joined_texts_leak_no_markup() {
    let texts: Vec<&str> = MARKUP
        .iter()
        .map(|(text, _)| *text)
        .filter(|text| !text.contains("never closed") && !text.contains("argum"))
        .collect();
    let all = spoken(&texts.join("\n\n"));
    for sign in [
        "**",
        "__",
        "~~",
        "](",
        "```",
        "http",
        "<",
        "{",
        "|",
        "😀",
        "\u{200b}",
        "  ",
        "Secret",
        "Is it him",
    ] {
        let fish = all.replace("5 < 6", "");
        assert!(!fish.contains(sign), "{sign} in {fish}");
    }
}

#[test]
fn speaks_each_sentence_when_it_is_complete() {
    let mut stream = SpeechStream::new(&SpeechOptions::default());
    assert_eq!(stream.push("**Sure!** Your or"), "Sure!");
    assert_eq!(stream.push("der is ready. It c"), " Your order is ready.");
    assert_eq!(stream.push("osts **five. dol"), "");
    assert_eq!(stream.push("lars** today. Bye"), " It costs five. dollars today.");
    assert_eq!(stream.finish(), " Bye");
}

#[test]
fn hostile_texts_take_linear_time() {
    for piece in [
        "<a ", "[", "![", "*a ", "**a_", "`", "{", "{\"", "<!--", "> ", "- ", "&am", "a(", "(((", "~~a ", "|",
    ] {
        let text = piece.repeat(17_000 / piece.len());
        spoken(&text);
        in_chunks(&text, |_| 7);
    }
}

/// Pieces of texts, joined at random.
const PIECES: &[&str] = &[
    "Hello",
    " ",
    " ",
    "\n",
    "\n\n",
    "**",
    "*",
    "_",
    "~~",
    "`",
    "```\n",
    "# ",
    "- ",
    "1. ",
    "> ",
    "| a | b |\n",
    "|---|\n",
    "[x](",
    "https://e.example/a_b",
    ")",
    "[",
    "]",
    "!",
    "?",
    ". ",
    ", ",
    "<b>",
    "</b>",
    "<think>",
    "</think>",
    "<br/>",
    "<",
    ">",
    "&amp;",
    "&lt;",
    "&",
    "{\"a\":1}",
    "{",
    "}",
    "😀",
    "\u{200b}",
    "5",
    "$1.50",
    "a_b",
    "é",
    "日本。",
    "f({\"a\": \"b\"})",
    "[^1]",
    "\\*",
    "\\",
    "\r\n",
    "<|end|>",
    "3 * 4",
    "<!-- c -->",
    "24.12. ",
];

#[test]
fn random_texts_are_the_same_in_every_division() {
    let mut state: u64 = 42;
    let mut random = move |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for _ in 0..400 {
        let text: String = (0..random(40)).map(|_| PIECES[random(PIECES.len())]).collect();
        // A withdrawal depends on what was spoken before.
        let text = if text.contains("<think>") {
            text
        } else {
            text.replace("</think>", "")
        };
        let text = match text.rfind("</think>").zip(text.rfind("<think>")) {
            Some(_) => text.replace("</think>", ""),
            None => text,
        };
        let whole = spoken(&text);
        for size in [1, 2, 5] {
            assert_eq!(in_chunks(&text, |_| size), whole, "{text:?}");
        }
        assert_eq!(whole.trim(), whole, "{text:?}");
        for sign in [
            "  ", "😀", "\u{200b}", "<think", "<!--", "<b>", "\u{fdd0}", "\u{fdd1}", "\n",
        ] {
            assert!(!whole.contains(sign), "{sign:?} in {whole:?} of {text:?}");
        }
    }
}
