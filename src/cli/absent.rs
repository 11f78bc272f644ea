//! Commands that were not built in. They are known, so that whoever types one
//! learns what it wants and not that it was mistyped.

/// What stands in for a command and its arguments, of which there are none.
macro_rules! absent {
    ($command:ident, $args:ident, $name:literal) => {
        /// Never made.
        #[derive(Debug, PartialEq, Eq)]
        pub enum $command {}

        pub(super) enum $args {}

        impl $args {
            pub(super) fn resolve<E>(self) -> Result<$command, E> {
                match self {}
            }
        }

        impl argh::FromArgs for $args {
            fn from_args(_: &[&str], _: &[&str]) -> Result<Self, argh::EarlyExit> {
                Err(String::new().into())
            }
        }

        impl argh::SubCommand for $args {
            const COMMAND: &'static argh::CommandInfo = &argh::CommandInfo {
                name: $name,
                short: &'\0',
                description: "Not in this build.",
            };
        }
    };
}

pub(super) use absent;
