//! What was built in: Cargo's features, by name.
//!
//! A build that lacks one still knows its words, and says which feature they
//! want. Only here does code ask for features; elsewhere a whole module is
//! there or has a stand-in, whose types have no values.

/// Makes the list, so that a feature is one line.
macro_rules! features {
    ($($(#[$doc:meta])* $feature:ident = $name:literal,)*) => {
        /// A part of the program that a build may lack.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Feature {
            $($(#[$doc])* $feature,)*
        }

        impl Feature {
            /// All of them.
            pub const ALL: &[Feature] = &[$(Feature::$feature,)*];

            /// The name, as Cargo has it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Feature::$feature => $name,)*
                }
            }

            /// Whether this build has it.
            pub const fn is_built_in(self) -> bool {
                match self {
                    $(Feature::$feature => cfg!(feature = $name),)*
                }
            }

            /// What to say to who wants it where it is not.
            pub const fn absence(self) -> &'static str {
                match self {
                    $(Feature::$feature => concat!(
                        "this adit was built without the feature \"", $name, "\""
                    ),)*
                }
            }
        }
    };
}

features! {
    /// TLS, at listeners and towards backends.
    Tls = "tls",
    /// Tokens and passwords.
    Auth = "auth",
    /// The configuration file, and `adit check`.
    ConfigFile = "config-file",
    /// `adit demo`.
    Demo = "demo",
    /// Landlock.
    Sandbox = "sandbox",
    /// `adit connect`.
    Connect = "connect",
    /// The admin pages.
    Admin = "admin",
    /// Sockets that others have opened, and word to who started adit.
    Activation = "activation",
}

/// The names of what was built in, or that nothing was.
pub fn built_in() -> String {
    let names = Feature::ALL.iter().filter(|feature| feature.is_built_in());
    let names: Vec<_> = names.map(|feature| feature.name()).collect();
    match &names[..] {
        [] => "none".to_owned(),
        names => names.join(" "),
    }
}
