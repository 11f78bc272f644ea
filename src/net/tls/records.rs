//! Records of TLS: from what a socket brought to plaintext, and from plaintext
//! to what a socket takes. Everything happens in buffers that the caller lends.

use crate::queue::WriteQueue;
use rustls::Error;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use std::io::IoSlice;

/// Most plaintext of a record (RFC 8446 section 5.1).
pub(super) const RECORD: usize = 16 * 1024;

/// More than a record's header, content type, padding of one byte and tag.
pub(super) const OVERHEAD: usize = 64;

/// Room for what a handshake or a ticket sends at a time.
const FLIGHT: usize = 4 * 1024;

/// What a buffer of records came to.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Bytes of plaintext.
    pub(super) plain: usize,
    /// Bytes of records that are done with.
    pub(super) used: usize,
}

/// What both kinds of connection do, under one name.
pub(super) trait Records {
    type Data;

    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8])
    -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Whether something waits to be encoded.
    fn has_more(&self) -> bool;
}

/// rustls has no trait for it.
macro_rules! records {
    ($connection:ty, $data:ty) => {
        impl Records for $connection {
            type Data = $data;

            fn process<'c, 'i>(
                &'c mut self,
                records: &'i mut [u8],
            ) -> UnbufferedStatus<'c, 'i, Self::Data> {
                self.process_tls_records(records)
            }

            fn has_more(&self) -> bool {
                self.wants_write()
            }
        }
    };
}

records!(UnbufferedServerConnection, ServerConnectionData);
records!(UnbufferedClientConnection, ClientConnectionData);

/// Runs rustls over `records` until it wants more of them. What it has to say
/// goes to `sealed`, the alert for an error as well.
///
/// rustls remembers how far it is in a handshake message that has not come
/// whole, and panics unless it is lent the very bytes again that it left.
pub(super) fn open<R: Records>(
    tls: &mut R,
    records: &mut [u8],
    into: &mut [u8],
    sealed: &mut WriteQueue,
    closed: &mut bool,
) -> Result<Opened, Error> {
    let mut opened = Opened::default();
    loop {
        let status = tls.process(&mut records[opened.used..]);
        opened.used += status.discard;
        let done = match status.state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    None => break Ok(false),
                    Some(Err(e)) => break Err(e),
                    Some(Ok(record)) => {
                        let end = opened.plain + record.payload.len();
                        let Some(room) = into.get_mut(opened.plain..end) else {
                            break Err(Error::General("more plaintext than records".into()));
                        };
                        room.copy_from_slice(record.payload);
                        opened.plain = end;
                        opened.used += record.discard;
                    }
                }
            },
            Ok(ConnectionState::EncodeTlsData(data)) => {
                encode(data, sealed);
                Ok(false)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                // It is queued, and so as good as sent.
                data.done();
                Ok(false)
            }
            Ok(ConnectionState::PeerClosed) => {
                *closed = true;
                Ok(false)
            }
            // Early data is never offered; the rest wants more records.
            Ok(_) => Ok(true),
            Err(e) => Err(e),
        };
        match done {
            Ok(false) => {}
            Ok(true) => return Ok(opened),
            Err(e) => {
                alert(tls, sealed);
                return Err(e);
            }
        }
    }
}

/// Queues the alert that rustls may have for the other side after an error,
/// and what was to go before it. Records are not looked at again: what was
/// wrong with them would be wrong a second time.
fn alert<R: Records>(tls: &mut R, sealed: &mut WriteQueue) {
    while tls.has_more() {
        match tls.process(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, sealed),
            _ => return,
        }
    }
}

/// Queues a piece of a handshake.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, sealed: &mut WriteQueue) {
    let mut piece = vec![0; FLIGHT];
    let mut encoded = data.encode(&mut piece);
    if let Err(EncodeError::InsufficientSize(e)) = &encoded {
        piece.resize(e.required_size, 0);
        encoded = data.encode(&mut piece);
    }
    if let Ok(len) = encoded {
        sealed.push(&piece[..len]);
    }
}

/// Enciphers the slices into `output`, in records as long as may be; says how
/// long they are together.
pub(super) fn seal<Data>(
    mut traffic: WriteTraffic<'_, Data>,
    slices: &[IoSlice<'_>],
    plain: &mut Vec<u8>,
    output: &mut Vec<u8>,
) -> Result<usize, EncryptError> {
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let room = total + (total / RECORD + slices.len() + 1) * OVERHEAD;
    if output.len() < room {
        output.resize(room, 0);
    }
    let mut sealed = 0;
    plain.clear();
    for mut rest in slices.iter().map(|slice| &**slice) {
        while !rest.is_empty() {
            if plain.is_empty() && rest.len() >= RECORD {
                let (record, behind) = rest.split_at(RECORD);
                sealed += traffic.encrypt(record, &mut output[sealed..])?;
                rest = behind;
                continue;
            }
            // Heads and small payloads share a record with what is behind them.
            let (front, behind) = rest.split_at(rest.len().min(RECORD - plain.len()));
            plain.extend_from_slice(front);
            rest = behind;
            if plain.len() == RECORD {
                sealed += traffic.encrypt(plain, &mut output[sealed..])?;
                plain.clear();
            }
        }
    }
    if !plain.is_empty() {
        sealed += traffic.encrypt(plain, &mut output[sealed..])?;
    }
    Ok(sealed)
}
