//! As much JSON (RFC 8259) as the demo's backend needs.
//!
//! A text is checked from its first byte to its last and nothing is built from
//! it: an object becomes its members, an array its elements, each as the piece
//! of text where it stood. Values that are only handed back, such as an `id`,
//! so return unchanged, down to the digits of a number.

/// How deep arrays and objects may be nested; the scanner calls itself once
/// for each level.
const MAX_DEPTH: usize = 128;

/// The byte at which a text stopped being JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson(pub(super) usize);

/// The members of the object that `text` holds, names with their quotes;
/// `None` if it holds a value of another type.
pub(super) fn members(text: &str) -> Result<Option<Vec<(&str, &str)>>, NotJson> {
    let mut found = Vec::new();
    let is_object = parts(text, b'{', |name, value| found.push((name, value)))?;
    Ok(is_object.then_some(found))
}

/// The elements of the array that `text` holds; `None` if it holds a value of
/// another type.
pub(super) fn elements(text: &str) -> Result<Option<Vec<&str>>, NotJson> {
    let mut found = Vec::new();
    let is_array = parts(text, b'[', |_, value| found.push(value))?;
    Ok(is_array.then_some(found))
}

/// `text` as a JSON string, with its quotes.
pub(super) fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\0'..='\x1f' => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Checks the whole of `text`, calls `each` with the parts of its outermost
/// value, and says whether that value began with `open`.
fn parts<'a>(
    text: &'a str,
    open: u8,
    mut each: impl FnMut(&'a str, &'a str),
) -> Result<bool, NotJson> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.space();
    let matches = scanner.peek() == Some(open);
    scanner.value(0, &mut each)?;
    scanner.space();
    match scanner.peek() {
        None => Ok(matches),
        Some(_) => Err(NotJson(scanner.at)),
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Passes one value. `each` gets the name and the value of every part, if
    /// the value has parts; an element's name is empty.
    fn value(
        &mut self,
        depth: usize,
        each: &mut dyn FnMut(&'a str, &'a str),
    ) -> Result<(), NotJson> {
        match self.peek() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err(NotJson(self.at)),
            Some(b'{') => self.list(b'}', depth, each),
            Some(b'[') => self.list(b']', depth, each),
            Some(b'"') => self.string(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number(),
        }
    }

    fn list(
        &mut self,
        close: u8,
        depth: usize,
        each: &mut dyn FnMut(&'a str, &'a str),
    ) -> Result<(), NotJson> {
        self.at += 1;
        self.space();
        if self.take(close) {
            return Ok(());
        }
        loop {
            self.space();
            let name = self.at;
            let mut name_end = self.at;
            if close == b'}' {
                self.string()?;
                name_end = self.at;
                self.space();
                self.expect(b':')?;
                self.space();
            }
            let start = self.at;
            self.value(depth + 1, &mut |_, _| ())?;
            each(&self.text[name..name_end], &self.text[start..self.at]);
            self.space();
            if self.take(close) {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn string(&mut self) -> Result<(), NotJson> {
        self.expect(b'"')?;
        while !self.take(b'"') {
            match self.peek() {
                None | Some(..b' ') => return Err(NotJson(self.at)),
                Some(b'\\') => self.escape()?,
                Some(_) => self.at += 1,
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    match self.peek() {
                        Some(digit) if digit.is_ascii_hexdigit() => self.at += 1,
                        _ => return Err(NotJson(self.at)),
                    }
                }
            }
            _ => return Err(NotJson(self.at)),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), NotJson> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(NotJson(start));
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), NotJson> {
        word.bytes().try_for_each(|byte| self.expect(byte))
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(NotJson(self.at))
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn members_are_the_pieces_of_text_where_they_stood() {
        let text = r#" { "id" : 1.50e+2 , "a":{"id":[2,{"b":"}"}]},"s":"\"},\\" } "#;
        assert_eq!(
            members(text).unwrap().unwrap(),
            [
                (r#""id""#, "1.50e+2"),
                (r#""a""#, r#"{"id":[2,{"b":"}"}]}"#),
                (r#""s""#, r#""\"},\\""#),
            ]
        );
        assert_eq!(members("{}"), Ok(Some(vec![])));
    }

    #[test]
    fn elements_are_the_pieces_of_text_where_they_stood() {
        assert_eq!(
            elements(r#"[1, -0.5 ,"a,b",[2,3],null]"#).unwrap().unwrap(),
            ["1", "-0.5", r#""a,b""#, "[2,3]", "null"]
        );
        assert_eq!(elements("[ ]"), Ok(Some(vec![])));
    }

    #[test]
    fn another_type_of_value_has_no_parts() {
        for text in ["1", r#""{""#, "true", "false", "null", "[1]"] {
            assert_eq!(members(text), Ok(None), "{text}");
        }
        assert_eq!(elements(r#"{"a":[1]}"#), Ok(None));
    }

    #[test]
    fn what_is_not_json_is_found_at_its_byte() {
        for (text, at) in [
            ("", 0),
            ("  ", 2),
            ("hello", 0),
            ("nul", 3),
            ("{", 1),
            (r#"{"a"}"#, 4),
            (r#"{"a":}"#, 5),
            (r#"{"a":1,}"#, 7),
            (r#"{"a":1"#, 6),
            (r#"{a:1}"#, 1),
            ("[1 2]", 3),
            ("[1,]", 3),
            ("{} {}", 3),
            (r#""abc"#, 4),
            ("\"a\tb\"", 2),
            (r#""\x""#, 2),
            (r#""\u12g4""#, 5),
            ("01", 1),
            ("-", 1),
            (".5", 0),
            ("1.", 2),
            ("1e", 2),
            ("+1", 0),
            ("\u{feff}{}", 0),
        ] {
            assert_eq!(members(text), Err(NotJson(at)), "{text:?}");
        }
    }

    #[test]
    fn a_text_cut_anywhere_is_not_json() {
        let text = r#"{"a":[1,{"b":"\u00e9é\n"}],"c":true}"#;
        for cut in (0..text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            assert_eq!(members(&text[..cut]), Err(NotJson(cut)), "{cut}");
        }
    }

    #[test]
    fn nesting_ends_before_the_stack_does() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(elements(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(elements(&nested(MAX_DEPTH + 1)), Err(NotJson(MAX_DEPTH)));
        assert_eq!(elements(&"[".repeat(1 << 20)), Err(NotJson(MAX_DEPTH)));
    }

    #[test]
    fn a_quoted_string_is_json() {
        let quoted = string("a\"b\\c\nd\u{1}é");
        assert_eq!(quoted, r#""a\"b\\c\u000ad\u0001é""#);
        assert_eq!(members(&quoted), Ok(None));
    }
}
