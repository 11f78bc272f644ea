//! The header fields of a head, a request's or a response's.

use httparse::Header;

/// Header fields, in the order in which they stand.
#[derive(Debug)]
pub struct Fields<'a>(Vec<Header<'a>>);

impl<'a> Fields<'a> {
    pub(super) fn new(headers: &[Header<'a>]) -> Self {
        Fields(headers.to_vec())
    }

    /// The values of a header field, in order, as their bytes are.
    pub fn lines(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let named = self
            .0
            .iter()
            .filter(move |h| h.name.eq_ignore_ascii_case(name));
        named.map(|h| h.value)
    }

    /// The values of a header field, in order; one that is not text is empty.
    pub fn values(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.lines(name).map(|value| {
            std::str::from_utf8(value)
                .unwrap_or("")
                .trim_matches([' ', '\t'])
        })
    }

    /// The value of a field that may stand only once; `None` if it is missing
    /// or repeated.
    pub fn single(&self, name: &'static str) -> Option<&'a str> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() { None } else { value }
    }

    /// Whether a field stands at all.
    pub fn has(&self, name: &'static str) -> bool {
        self.values(name).next().is_some()
    }

    /// The elements of a list field, over all its lines (RFC 9110 section 5.6.1).
    pub fn elements(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let split = self.values(name).flat_map(|value| value.split(','));
        split
            .map(|element| element.trim_matches([' ', '\t']))
            .filter(|element| !element.is_empty())
    }

    /// Whether a list field has this element, in any case.
    pub fn lists(&self, name: &'static str, element: &str) -> bool {
        self.elements(name).any(|e| e.eq_ignore_ascii_case(element))
    }
}
