//! Puts the tables where the README has room for them.

use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- bench: begin -->\n";
const END: &str = "<!-- bench: end -->\n";

pub fn update(path: &Path, tables: &str) -> Result<(), String> {
    let about = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(about)?;
    fs::write(
        path,
        replaced(&text, tables).ok_or("no marks of bench in the README")?,
    )
    .map_err(about)
}

fn replaced(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}{}\n{END}{after}",
        tables.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}b\n");
        assert_eq!(
            replaced(&text, "new"),
            Some(format!("a\n{BEGIN}new\n{END}b\n"))
        );
        assert_eq!(replaced("no marks", "new"), None);
    }
}
