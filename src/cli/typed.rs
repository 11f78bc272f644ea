//! What was typed, as the words that the file has too.

/// The words among the options, each with a value that was given: of those that
/// take one, of those that can be repeated, and of those that take none.
pub(super) fn words<'a>(
    single: &[(&'static str, &'a Option<String>)],
    repeated: &[(&'static str, &'a Vec<String>)],
    switches: &[(&'static str, bool)],
) -> Vec<(&'static str, &'a str)> {
    let single = single
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let repeated = repeated
        .iter()
        .flat_map(|(name, values)| values.iter().map(|value| (*name, value.as_str())));
    let switches = switches
        .iter()
        .filter_map(|(name, on)| on.then_some((*name, "true")));
    single.chain(repeated).chain(switches).collect()
}

/// A shell gives no line ends: `\r`, `\n`, `\t` and `\\` stand for them.
pub(super) fn unescape(text: &str) -> Result<String, String> {
    let mut chars = text.chars();
    let mut unescaped = String::new();
    while let Some(c) = chars.next() {
        unescaped.push(match c {
            '\\' => match chars.next() {
                Some('r') => '\r',
                Some('n') => '\n',
                Some('t') => '\t',
                Some('\\') => '\\',
                _ => return Err("greeting: after \\ comes r, n, t or another \\".to_owned()),
            },
            c => c,
        });
    }
    Ok(unescaped)
}
