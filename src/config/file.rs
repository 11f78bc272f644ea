//! The configuration file: TOML to settings, or to all of its mistakes.

mod certificate;
mod overlap;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml_span::value::{Key, Table, Value, ValueInner};
use toml_span::{ErrorKind, Span};

use super::draft::{RouteDraft, lone_group, shared_admin};
use super::tls::CertificateDraft;
use super::values;
use super::words::{AUTH, GLOBAL, LISTEN, ListenDraft, PLACE, RULES, Word, find};
use crate::address::Listen;
use crate::mistake::{Mistake, Mistakes};
use crate::net::tls_files::CertificateFiles;
use crate::server::Settings;
use crate::tunnel::access::Auth;
use certificate::CERTIFICATE;

/// Reads a configuration file.
///
/// # Errors
/// If it cannot be read, or has mistakes.
pub fn load(path: &Path) -> Result<Settings, Mistakes> {
    let file = path.display().to_string();
    let alone = |line, text| {
        let file = path.to_owned();
        Mistakes(vec![Mistake { file, line, text }])
    };
    let bytes = fs::read(path).map_err(|error| alone(None, format!("cannot be read: {error}")))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text, &file).map(|settings| Settings {
            file: Some(path.to_owned()),
            ..settings
        }),
        Err(error) => {
            let line = line_at(&bytes, error.valid_up_to());
            Err(alone(Some(line), "bytes that are not UTF-8".to_owned()))
        }
    }
}

/// Reads the text of a configuration file, to be called `file_name` in
/// messages.
///
/// # Errors
/// If it has mistakes.
pub fn parse(text: &str, file_name: &str) -> Result<Settings, Mistakes> {
    // A byte order mark is no content, and would move the offsets.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        file: file_name,
        mistakes: Vec::new(),
    };
    let settings = match toml_span::parse(text) {
        Ok(root) => root.as_table().map(|root| reader.root(root)),
        Err(error) => {
            reader.syntax(&error);
            None
        }
    };
    match settings {
        Some(settings) if reader.mistakes.is_empty() => Ok(settings),
        _ => {
            reader.mistakes.sort_by_key(|mistake| mistake.line);
            Err(Mistakes(reader.mistakes))
        }
    }
}

/// A message may show what stands in the file, and goes to a terminal or a log:
/// no control character does.
fn harmless(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_debug().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

fn line_at(text: &[u8], offset: usize) -> usize {
    1 + text
        .iter()
        .take(offset)
        .filter(|&&byte| byte == b'\n')
        .count()
}

struct Reader<'t> {
    text: &'t str,
    file: &'t str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn line(&self, span: Span) -> usize {
        line_at(self.text.as_bytes(), span.start)
    }

    fn mistake(&mut self, line: impl Into<Option<usize>>, text: impl Into<String>) {
        self.mistakes.push(Mistake {
            file: self.file.into(),
            line: line.into(),
            text: harmless(&text.into()),
        });
    }

    fn syntax(&mut self, error: &toml_span::Error) {
        let text = match &error.kind {
            ErrorKind::DuplicateKey { first, .. } | ErrorKind::DuplicateTable { first, .. } => {
                format!("{error}, first at line {}", self.line(*first))
            }
            _ => error.to_string(),
        };
        self.mistake(self.line(error.span), text);
    }

    fn root(&mut self, root: &Table<'_>) -> Settings {
        let mut settings = Settings::default();
        let mut defaults = RouteDraft::default();
        let mut trusted = true;
        for (key, value) in root {
            if let Some(word) = find(GLOBAL, &key.name) {
                let good = self.each(word, value, |texts| word.set(&mut settings, texts));
                trusted &= good || word.name != "trusted-proxies";
            } else if let Some(word) = find(RULES, &key.name) {
                let line = self.line(key.span);
                let good = self.each(word, value, |texts| word.set(&mut defaults.route, texts));
                defaults.note(word.name, line, good);
            } else if key.name == "auth" {
                let line = self.line(key.span);
                let good = self.auth(value, &mut defaults.route.auth);
                defaults.note("auth", line, good);
            } else if !["listen", "route"].contains(&&*key.name) {
                let tables = ["listen", "route", "auth"].into_iter();
                self.unknown(key, tables.chain(names(GLOBAL)).chain(names(RULES)));
            }
        }
        if let Some(text) = lone_group(&settings) {
            let key = root.get_key_value("group");
            self.mistake(key.map(|(key, _)| self.line(key.span)), text);
        }
        for (line, text) in defaults.contradictions() {
            self.mistake(line, text);
        }
        let whole = self.listeners(root, trusted, &mut settings);
        if let Some(text) = shared_admin(&settings) {
            let key = root.get_key_value("admin");
            self.mistake(key.map(|(key, _)| self.line(key.span)), text);
        }
        self.routes(root, &defaults, whole, &mut settings);
        settings
    }

    /// Reads the `[[listen]]` tables; says whether all of them are good.
    /// `trusted`: whether it is known who is trusted.
    fn listeners(&mut self, root: &Table<'_>, trusted: bool, settings: &mut Settings) -> bool {
        let before = self.mistakes.len();
        let mut lines: Vec<usize> = Vec::new();
        for (line, table) in self.tables(root, "listen") {
            let mut draft = ListenDraft::default();
            let mut given = BTreeMap::new();
            for (key, value) in table {
                if key.name == "certificate" {
                    draft.tls.more = self.certificates(value);
                    continue;
                }
                let Some(word) = find(LISTEN, &key.name) else {
                    self.unknown(key, names(LISTEN).chain(["certificate"]));
                    // It may have been meant as one.
                    given.insert("address", line);
                    continue;
                };
                given.insert(word.name, self.line(key.span));
                self.each(word, value, |texts| word.set(&mut draft, texts));
            }
            let listener = match draft.build(trusted.then_some(&settings.trusted)) {
                Ok(listener) => listener,
                Err((key, text)) => {
                    // An address that was given is a mistake already.
                    match given.get(key) {
                        Some(_) if key == "address" => {}
                        at => self.mistake(at.copied().unwrap_or(line), text),
                    }
                    continue;
                }
            };
            let address = &listener.address;
            let mut known = settings.listeners.iter().map(|other| &other.address);
            if let Some(first) = known.position(|other| other == address) {
                let text = format!(
                    "address {address} stands twice, first at line {}",
                    lines[first]
                );
                self.mistake(line, text);
            } else {
                settings.listeners.push(listener);
                lines.push(line);
            }
        }
        self.mistakes.len() == before
    }

    fn routes(
        &mut self,
        root: &Table<'_>,
        defaults: &RouteDraft,
        all_listeners: bool,
        settings: &mut Settings,
    ) {
        let listeners: Vec<Listen> = settings
            .listeners
            .iter()
            .map(|listener| listener.address.clone())
            .collect();
        for (line, table) in self.tables(root, "route") {
            let mut draft = RouteDraft::over(&defaults.route, Some(line));
            for (key, value) in table {
                if key.name == "auth" {
                    let at = self.line(key.span);
                    let good = self.auth(value, &mut draft.route.auth);
                    draft.note("auth", at, good);
                    continue;
                }
                let Some(word) = find(PLACE, &key.name).or_else(|| find(RULES, &key.name)) else {
                    self.unknown(key, names(PLACE).chain(names(RULES)).chain(["auth"]));
                    // It may have been meant as one.
                    draft.note("backend", self.line(key.span), false);
                    continue;
                };
                let at = self.line(key.span);
                let good = self.each(word, value, |texts| word.set(&mut draft.route, texts));
                draft.note(word.name, at, good);
            }
            if all_listeners {
                self.known_listeners(&draft, &listeners);
            }
            match draft.build() {
                Ok(route) => settings.routes.push(route),
                Err(errors) => {
                    for (line, text) in errors {
                        self.mistake(line, text);
                    }
                }
            }
        }
        if all_listeners {
            for (index, text) in overlap::unreached(&settings.routes, &listeners) {
                self.mistake(settings.routes[index].line, text);
            }
        }
    }

    /// Reads what clients have to bring, in place of what was asked before;
    /// says whether all of it is good.
    fn auth(&mut self, value: &Value<'_>, auth: &mut Auth) -> bool {
        let before = self.mistakes.len();
        *auth = Auth::default();
        match value.as_ref() {
            ValueInner::String(text) if text == "off" => {}
            ValueInner::Table(table) if !table.is_empty() => {
                for (key, value) in table {
                    match find(AUTH, &key.name) {
                        Some(word) => {
                            self.each(word, value, |texts| word.set(auth, texts));
                        }
                        None => self.unknown(key, names(AUTH)),
                    }
                }
            }
            _ => {
                let text = "auth asks for nothing; write auth = { token-file = \"FILE\" }, \
                            hmac-key-file or basic-file, or \"off\"";
                self.mistake(self.line(value.span), text);
            }
        }
        self.mistakes.len() == before
    }

    fn known_listeners(&mut self, draft: &RouteDraft, listeners: &[Listen]) {
        for listener in &draft.route.listeners {
            if !listeners.contains(listener) {
                let known: Vec<_> = listeners.iter().map(ToString::to_string).collect();
                let known: Vec<_> = known.iter().map(String::as_str).collect();
                let text = format!(
                    "listener {listener} is the address of no [[listen]]; write {}",
                    values::one_of(&known)
                );
                self.mistake(draft.line("listener"), text);
            }
        }
    }

    /// The `[[listen.certificate]]` tables of a listener.
    fn certificates(&mut self, value: &Value<'_>) -> Vec<CertificateFiles> {
        let mut certificates = Vec::new();
        for item in value.as_array().into_iter().flatten() {
            let mut draft = CertificateDraft::default();
            let before = self.mistakes.len();
            for (key, value) in item.as_table().into_iter().flatten() {
                match find(CERTIFICATE, &key.name) {
                    Some(word) => {
                        self.each(word, value, |texts| word.set(&mut draft, texts));
                    }
                    None => self.unknown(key, names(CERTIFICATE)),
                }
            }
            match draft.build() {
                Ok(files) => certificates.push(files),
                // A file that was given, and not good, is a mistake already.
                Err(_) if self.mistakes.len() > before => {}
                Err(text) => self.mistake(self.line(item.span), text),
            }
        }
        if certificates.is_empty() && value.as_array().is_none() {
            let text = "certificate is a table of its own; write [[listen.certificate]]";
            self.mistake(self.line(value.span), text);
        }
        certificates
    }

    /// The tables of an array of tables, each with the line where it begins.
    fn tables<'v, 'd>(&mut self, root: &'v Table<'d>, name: &str) -> Vec<(usize, &'v Table<'d>)> {
        let Some(value) = root.get(name) else {
            self.mistake(None, format!("no [[{name}]]; write at least one"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        match value.as_array() {
            Some(items) if !items.is_empty() => {
                for item in items {
                    match item.as_table() {
                        Some(table) => tables.push((self.line(item.span), table)),
                        None => self.not_a_table(name, item),
                    }
                }
            }
            _ => self.not_a_table(name, value),
        }
        tables
    }

    fn not_a_table(&mut self, name: &str, value: &Value<'_>) {
        let kind = value.as_ref().type_str();
        let text = format!("{name} is of type {kind}; write [[{name}]] once for each {name}");
        self.mistake(self.line(value.span), text);
    }

    /// Hands a key's values to `set` as text, and files what it finds, each at
    /// the line of its value. Says whether all are good.
    fn each<T>(
        &mut self,
        word: &Word<T>,
        value: &Value<'_>,
        set: impl FnOnce(&[String]) -> Vec<(usize, String)>,
    ) -> bool {
        let before = self.mistakes.len();
        let items = match value.as_ref() {
            ValueInner::Array(items) if word.is_list() => &items[..],
            _ => std::slice::from_ref(value),
        };
        let mut texts = Vec::new();
        for item in items {
            match item.as_ref() {
                ValueInner::String(text) => texts.push(text.to_string()),
                ValueInner::Array(_) | ValueInner::Table(_) => {
                    let allowed = match word.is_list() {
                        true => "a string or a list of strings",
                        false => "one value",
                    };
                    let kind = item.as_ref().type_str();
                    let text = format!("{} of type {kind}; write {allowed}", word.name);
                    self.mistake(self.line(item.span), text);
                }
                // As it was typed: `0o660` and `432` are the same to TOML, but
                // not to whoever reads the message.
                _ => texts.push(self.text[item.span.start..item.span.end].replace('_', "")),
            }
        }
        let whole = texts.len() == items.len();
        for (index, text) in set(&texts) {
            // Where a value has no text, those after it have moved.
            let at = if whole { items[index].span } else { value.span };
            self.mistake(self.line(at), text);
        }
        self.mistakes.len() == before
    }

    fn unknown(&mut self, key: &Key<'_>, allowed: impl Iterator<Item = &'static str>) {
        let allowed: Vec<_> = allowed.collect();
        let nearest = allowed
            .iter()
            .map(|name| (distance(name, &key.name), name))
            .min()
            .filter(|(distance, _)| *distance <= 2);
        let hint = match (home(&key.name), nearest) {
            (Some(place), _) => format!("it stands {place}"),
            (None, Some((_, name))) => format!("did you mean {name}?"),
            (None, None) => format!("allowed are {}", allowed.join(", ")),
        };
        let text = format!("unknown key {:?}; {hint}", key.name);
        self.mistake(self.line(key.span), text);
    }
}

fn names<T>(words: &'static [Word<T>]) -> impl Iterator<Item = &'static str> {
    words.iter().map(|word| word.name)
}

/// Where a key stands that is known, but not where it was found.
fn home(name: &str) -> Option<&'static str> {
    if find(GLOBAL, name).is_some() {
        return Some("at the top of the file, before the first table");
    }
    if find(LISTEN, name).is_some() {
        return Some("in a [[listen]]");
    }
    if find(AUTH, name).is_some() {
        return Some("in auth = { ... } of a [[route]]");
    }
    (find(PLACE, name).is_some() || find(RULES, name).is_some()).then_some("in a [[route]]")
}

/// How many characters to change, insert or take away to make one of the
/// other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[row.len() - 1]
}
