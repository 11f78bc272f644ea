//! The little of JSON that a token needs (RFC 8259): one flat object whose
//! values are strings and whole numbers. Everything else is refused, and so is
//! a name that stands twice, of which each reader would take another.

use std::fmt::Write;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A number without fraction and exponent.
    Integer(i64),
}

/// The members of an object, in order.
pub type Members = Vec<(String, Value)>;

/// Reads an object; `None` where the text is anything else.
pub fn parse(text: &str) -> Option<Members> {
    let mut reader = Reader { rest: text };
    let members = reader.object()?;
    reader.space();
    reader.rest.is_empty().then_some(members)
}

/// Writes an object.
pub fn write(members: &[(&str, Value)]) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        string(&mut text, name);
        text.push(':');
        match value {
            Value::Text(value) => string(&mut text, value),
            Value::Integer(number) => text += &number.to_string(),
        }
    }
    text + "}"
}

fn string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c < ' ' => {
                // Writing to a String does not fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes this character, behind any space.
    fn take(&mut self, c: char) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(c)?;
        Some(())
    }

    fn object(&mut self) -> Option<Members> {
        let mut members = Members::new();
        self.take('{')?;
        if self.take('}').is_some() {
            return Some(members);
        }
        loop {
            let name = self.text()?;
            self.take(':')?;
            let value = self.value()?;
            if members.iter().any(|(known, _)| *known == name) {
                return None;
            }
            members.push((name, value));
            if self.take('}').is_some() {
                return Some(members);
            }
            self.take(',')?;
        }
    }

    fn value(&mut self) -> Option<Value> {
        self.space();
        match self.rest.starts_with('"') {
            true => self.text().map(Value::Text),
            false => self.integer().map(Value::Integer),
        }
    }

    fn integer(&mut self) -> Option<i64> {
        let unsigned = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self
            .rest
            .split_at(self.rest.len() - unsigned.len() + digits);
        if digits == 0 || (digits > 1 && unsigned.starts_with('0')) {
            return None;
        }
        self.rest = rest;
        number.parse().ok()
    }

    fn text(&mut self) -> Option<String> {
        self.take('"')?;
        let mut text = String::new();
        loop {
            match self.char()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
    }

    fn char(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn escaped(&mut self) -> Option<char> {
        match self.char()? {
            c @ ('"' | '\\' | '/') => Some(c),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let first = self.unit()?;
                let mut units = vec![first];
                if (0xd800..0xdc00).contains(&first) {
                    self.rest = self.rest.strip_prefix("\\u")?;
                    units.push(self.unit()?);
                }
                char::decode_utf16(units).next()?.ok()
            }
            _ => None,
        }
    }

    fn unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = rest;
        u16::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    #[test]
    fn flat_objects_are_read() {
        for (json, expected) in [
            ("{}", vec![]),
            (" { } ", vec![]),
            (r#"{"a":"b"}"#, vec![("a", text("b"))]),
            (
                " {\t\"a\" : 1 ,\r\n\"b\":-20, \"c\":0}",
                vec![
                    ("a", Value::Integer(1)),
                    ("b", Value::Integer(-20)),
                    ("c", Value::Integer(0)),
                ],
            ),
            (
                r#"{"\u0061":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}"#,
                vec![("a", text("\"\\/\u{8}\u{c}\n\r\té😀"))],
            ),
        ] {
            let members = parse(json).expect(json);
            let expected: Members = expected
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(members, expected, "{json}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        for json in [
            "",
            "1",
            "[]",
            "\"a\"",
            "{",
            "{}x",
            "{}{}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{a:1}"#,
            r#"{'a':1}"#,
            r#"{"a":true}"#,
            r#"{"a":null}"#,
            r#"{"a":1.5}"#,
            r#"{"a":1e3}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":-}"#,
            r#"{"a":9223372036854775808}"#,
            r#"{"a":{}}"#,
            r#"{"a":[]}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"\u+123"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\ud800\u0041"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"b}"#,
        ] {
            assert_eq!(parse(json), None, "{json}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let members = [
            ("a", text("quote \" slash \\ line\n nul \0 é")),
            ("b", Value::Integer(-7)),
        ];
        let read = parse(&write(&members)).unwrap();
        assert_eq!(read.len(), 2);
        for ((name, value), (read_name, read_value)) in members.iter().zip(&read) {
            assert_eq!((*name, value), (read_name.as_str(), read_value));
        }
    }
}
