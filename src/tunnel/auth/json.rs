//! The little of JSON that a token needs (RFC 8259): one object, of whose
//! values strings and numbers are read. Others are only passed over, but they
//! have to be JSON too. A name that stands twice is refused: each reader would
//! take another of the two.
//!
//! Who wrote the text is not known yet when the head of a token is read, so it
//! has bounds that no honest token comes near.

use std::fmt::Write;

/// Most members of the object. Each is compared with all before it.
const MOST_MEMBERS: usize = 256;

/// Most objects and arrays within each other, below the object itself.
const DEEPEST: usize = 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A finite number.
    Number(f64),
    /// Something else, whatever it may be.
    Other,
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
            Value::Number(number) => text += &number.to_string(),
            Value::Other => text += "null",
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
            let value = self.value(DEEPEST)?;
            let is_known = members.iter().any(|(known, _)| *known == name);
            if is_known || members.len() == MOST_MEMBERS {
                return None;
            }
            members.push((name, value));
            if self.take('}').is_some() {
                return Some(members);
            }
            self.take(',')?;
        }
    }

    /// A value with at most so many others around those within it.
    fn value(&mut self, depth: usize) -> Option<Value> {
        self.space();
        match self.rest.as_bytes().first()? {
            b'"' => self.text().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self.pass_over('{', '}', depth),
            b'[' => self.pass_over('[', ']', depth),
            _ => {
                let mut words = ["true", "false", "null"].into_iter();
                self.rest = words.find_map(|word| self.rest.strip_prefix(word))?;
                Some(Value::Other)
            }
        }
    }

    /// Passes over an object or an array.
    fn pass_over(&mut self, open: char, close: char, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(Value::Other);
        }
        loop {
            if open == '{' {
                self.text()?;
                self.take(':')?;
            }
            self.value(depth)?;
            if self.take(close).is_some() {
                return Some(Value::Other);
            }
            self.take(',')?;
        }
    }

    fn number(&mut self) -> Option<Value> {
        let all = self.rest;
        self.skip(&['-']);
        match self.skip_digits()? {
            "0" => {}
            digits if digits.starts_with('0') => return None,
            _ => {}
        }
        if self.skip(&['.']) {
            self.skip_digits()?;
        }
        if self.skip(&['e', 'E']) {
            self.skip(&['+', '-']);
            self.skip_digits()?;
        }
        let number: f64 = all[..all.len() - self.rest.len()].parse().ok()?;
        Some(if number.is_finite() {
            Value::Number(number)
        } else {
            Value::Other
        })
    }

    /// Skips one of these characters, if it is next.
    fn skip(&mut self, any: &[char]) -> bool {
        let behind = self.rest.strip_prefix(any);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// Skips digits, at least one, and says which.
    fn skip_digits(&mut self) -> Option<&str> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        (!digits.is_empty()).then_some(digits)
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
    fn strings_and_numbers_are_read_and_the_rest_is_passed_over() {
        for (json, expected) in [
            ("{}", vec![]),
            (" { } ", vec![]),
            (r#"{"a":"b"}"#, vec![("a", text("b"))]),
            (
                " {\t\"a\" : 1 ,\r\n\"b\":-20, \"c\":0}",
                vec![
                    ("a", Value::Number(1.0)),
                    ("b", Value::Number(-20.0)),
                    ("c", Value::Number(0.0)),
                ],
            ),
            (
                r#"{"a":1.5,"b":-0.25e2,"c":2E+3,"d":1e-1,"e":1e999}"#,
                vec![
                    ("a", Value::Number(1.5)),
                    ("b", Value::Number(-25.0)),
                    ("c", Value::Number(2000.0)),
                    ("d", Value::Number(0.1)),
                    ("e", Value::Other),
                ],
            ),
            (
                r#"{"a":true,"b":false ,"c": null,"d":{},"e":[ ],"f":"x"}"#,
                vec![
                    ("a", Value::Other),
                    ("b", Value::Other),
                    ("c", Value::Other),
                    ("d", Value::Other),
                    ("e", Value::Other),
                    ("f", text("x")),
                ],
            ),
            (
                r#"{"a" : { "b":[1, "]}",{"c":null, "c" :[[]] }] , "d":-1.5} , "a2":1}"#,
                vec![("a", Value::Other), ("a2", Value::Number(1.0))],
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
            r#"{"a":True}"#,
            r#"{"a":nul}"#,
            r#"{"a":nullx}"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":01}"#,
            r#"{"a":00}"#,
            r#"{"a":+1}"#,
            r#"{"a":-}"#,
            r#"{"a":.5}"#,
            r#"{"a":1.}"#,
            r#"{"a":1.e1}"#,
            r#"{"a":1e}"#,
            r#"{"a":1e+}"#,
            r#"{"a":0x1}"#,
            r#"{"a":{}"#,
            r#"{"a":[}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[1 2]}"#,
            r#"{"a":[,]}"#,
            r#"{"a":{"b"}}"#,
            r#"{"a":{1:2}}"#,
            r#"{"a":{"b":1,}}"#,
            r#"{"a":[1}}"#,
            r#"{"a":{"b":1]}"#,
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
    fn an_object_cut_anywhere_is_none() {
        let json = r#"{"a":{"b":[1.5e-1,true,"\u00e9"]},"c":null,"d":-7}"#;
        assert!(parse(json).is_some());
        for cut in 0..json.len() {
            assert_eq!(parse(&json[..cut]), None, "{}", &json[..cut]);
        }
    }

    #[test]
    fn depth_and_members_have_a_bound() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth| {
                let (open, close) = (open.repeat(depth), close.repeat(depth));
                format!("{{\"a\":{open}1{close}}}")
            };
            assert!(parse(&nested(DEEPEST)).is_some());
            assert_eq!(parse(&nested(DEEPEST + 1)), None);
            assert_eq!(parse(&nested(100_000)), None);
        }
        let wide = |members| {
            let members: Vec<_> = (0..members).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(parse(&wide(MOST_MEMBERS)).unwrap().len(), MOST_MEMBERS);
        assert_eq!(parse(&wide(MOST_MEMBERS + 1)), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let members = [
            ("a", text("quote \" slash \\ line\n nul \0 é")),
            ("b", Value::Number(-7.0)),
            ("c", Value::Number(1_924_991_999.0)),
            ("d", Value::Other),
        ];
        let read = parse(&write(&members)).unwrap();
        assert_eq!(read.len(), members.len());
        for ((name, value), (read_name, read_value)) in members.iter().zip(&read) {
            assert_eq!((*name, value), (read_name.as_str(), read_value));
        }
    }
}
