//! What TLS tells of the other side, as the rooms have it that know no TLS.

/// A name beside the subject's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternativeName {
    /// `DNS`, `email`, `URI` or `IP`.
    pub kind: &'static str,
    /// The name itself.
    pub name: String,
}

/// What TLS tells of the other side. A certificate that was shown is a good
/// one, else there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The name that the client asked for (SNI), at the server's side.
    pub server_name: Option<String>,
    /// The protocol that was agreed on.
    pub alpn: Option<Vec<u8>>,
    /// Whether a certificate was shown.
    pub certificate: bool,
    /// The common name in it.
    pub common_name: Option<String>,
    /// The alternative names in it.
    pub alternative_names: Vec<AlternativeName>,
    /// Whether the session was one of before, resumed.
    pub resumed: bool,
}
