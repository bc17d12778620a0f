//! Strict form decoding. Signatures cover the decoded fields, so a lenient decoder would accept two different bodies
//! as one. Linear in the size of the body.

use butt_dial_domain::ports::webhook::UnreadableRequest;

/// The most fields of a form before its signature is verified; Twilio sends about forty. Bounds the memory of
/// unverified requests.
const MAX_FIELDS: usize = 20_000;
/// The most fields of a form that is read after verification.
const MAX_FIELDS_READ: usize = 1_000;

/// The fields of a form or a query, in order.
pub struct Form(Vec<(String, String)>);

impl Form {
    pub fn decode(body: &[u8]) -> Result<Self, UnreadableRequest> {
        let mut fields = Vec::new();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            if fields.len() == MAX_FIELDS {
                return Err(UnreadableRequest("the form has too many fields"));
            }
            let equals = pair.iter().position(|b| *b == b'=');
            let (name, value) = equals.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            fields.push((unescape(name)?, unescape(value)?));
        }
        Ok(Self(fields))
    }

    /// Rejects a form with more fields than Twilio sends, signed or not.
    pub fn check_size(&self) -> Result<(), UnreadableRequest> {
        if self.0.len() > MAX_FIELDS_READ {
            return Err(UnreadableRequest("the form has too many fields"));
        }
        Ok(())
    }

    /// Returns the first field with this name, unless it is empty.
    pub fn find(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub fn fields(&self) -> &[(String, String)] {
        &self.0
    }
}

fn unescape(text: &[u8]) -> Result<String, UnreadableRequest> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(UnreadableRequest("the form has an invalid escape")),
            },
            byte => *byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| UnreadableRequest("the form is not UTF-8"))
}

fn digit(byte: Option<&u8>) -> Option<u8> {
    let digit = char::from(*byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_form_fields_without_loss() {
        let form = Form::decode(b"Body=1+%2B+1%20%C3%A9&Blank=&Bare&&Body=2&=x").unwrap();
        let fields: Vec<_> = form.fields().iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            fields,
            [
                ("Body", "1 + 1 é"),
                ("Blank", ""),
                ("Bare", ""),
                ("Body", "2"),
                ("", "x")
            ]
        );
        assert_eq!((form.find("Body"), form.find("Blank")), (Some("1 + 1 é"), None));
    }

    #[test]
    fn rejects_invalid_and_oversized_forms() {
        for body in [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%+1", b"a=%FF", b"a=\xff", b"%C3=1"] {
            assert!(Form::decode(body).is_err(), "{body:?}");
        }
        assert!(
            Form::decode(&b"a&".repeat(MAX_FIELDS_READ))
                .unwrap()
                .check_size()
                .is_ok()
        );
        assert!(
            Form::decode(&b"a&".repeat(MAX_FIELDS_READ + 1))
                .unwrap()
                .check_size()
                .is_err()
        );
        assert!(Form::decode(&b"a&".repeat(MAX_FIELDS)).is_ok());
        assert!(Form::decode(&b"a&".repeat(MAX_FIELDS + 1)).is_err());
    }
}
