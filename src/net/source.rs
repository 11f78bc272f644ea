//! What the poll asks of a socket, written down once for those that hold one.

/// Has the poll watch what a type holds: `source!(Type, self => the socket)`.
macro_rules! source {
    ($type:ty, $self:ident => $socket:expr) => {
        impl mio::event::Source for $type {
            fn register(
                &mut $self,
                registry: &mio::Registry,
                token: mio::Token,
                interest: mio::Interest,
            ) -> std::io::Result<()> {
                let socket: &mut dyn mio::event::Source = $socket;
                socket.register(registry, token, interest)
            }

            fn reregister(
                &mut $self,
                registry: &mio::Registry,
                token: mio::Token,
                interest: mio::Interest,
            ) -> std::io::Result<()> {
                let socket: &mut dyn mio::event::Source = $socket;
                socket.reregister(registry, token, interest)
            }

            fn deregister(&mut $self, registry: &mio::Registry) -> std::io::Result<()> {
                let socket: &mut dyn mio::event::Source = $socket;
                socket.deregister(registry)
            }
        }
    };
}

pub(super) use source;
