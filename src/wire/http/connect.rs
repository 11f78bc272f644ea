//! CONNECT: an HTTP proxy is asked to let a connection through (RFC 9110
//! section 9.3.6).

use super::Answer;
use super::answer::first_line;
use crate::wire::dialogue::{Next, Unwelcome};

/// A request to an HTTP proxy.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Host and port, an IPv6 address in brackets.
    authority: String,
    /// The value of `Proxy-Authorization`, if it is to be sent.
    authorization: Option<String>,
}

impl Connect {
    /// Asks for a connection to `authority`.
    pub fn new(authority: String, authorization: Option<String>) -> Self {
        Connect {
            authority,
            authorization,
        }
    }

    /// What is said first.
    pub fn request(&self) -> Vec<u8> {
        let Connect { authority, .. } = self;
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(value) = &self.authorization {
            head += &format!("Proxy-Authorization: {value}\r\n");
        }
        head += "\r\n";
        head.into_bytes()
    }

    /// Hears the answer.
    ///
    /// # Errors
    /// Any answer but a 2xx, with its first line.
    pub fn hear(&self, input: &[u8]) -> Result<Next, Unwelcome> {
        let Some(answer) = Answer::parse(input).map_err(Unwelcome::Refused)? else {
            return Ok(Next::Listen);
        };
        let line = first_line(input);
        match answer.status {
            // A 2xx has no body, whatever its head says.
            200..=299 => Ok(Next::Done(answer.len)),
            407 if self.authorization.is_none() => Err(Unwelcome::Refused(format!(
                "answered {line}: it wants a user and password (--proxy-auth-file)"
            ))),
            407 => Err(Unwelcome::Refused(format!(
                "answered {line}: it does not take this user and password"
            ))),
            500..=599 => Err(Unwelcome::NotNow(format!("answered {line}"))),
            _ => Err(Unwelcome::Refused(format!("answered {line}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dialogue::talk;

    fn connect(authorization: Option<&str>) -> Connect {
        Connect::new("[2001:db8::1]:443".into(), authorization.map(str::to_owned))
    }

    #[test]
    fn the_request_names_the_target_and_the_user() {
        let plain = "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n";
        assert_eq!(connect(None).request(), format!("{plain}\r\n").as_bytes());
        let with_user = format!("{plain}Proxy-Authorization: Basic eDp5\r\n\r\n");
        let request = connect(Some("Basic eDp5")).request();
        assert_eq!(request, with_user.as_bytes());
    }

    #[test]
    fn any_2xx_lets_through_and_what_follows_is_no_body() {
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 Connection established\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 204\r\n\r\n",
        ] {
            let bytes = format!("{head}abc");
            for cut in 0..bytes.len() {
                let pieces = [&bytes.as_bytes()[..cut], &bytes.as_bytes()[cut..]];
                let (said, rest) = talk(|input| connect(None).hear(input), &pieces).unwrap();
                assert!(said.is_empty());
                let came_too = &bytes[head.len()..];
                assert!(came_too.as_bytes().starts_with(&rest.unwrap()), "{head}");
            }
        }
    }

    #[test]
    fn a_refusal_is_shown_with_its_first_line() {
        for (head, why) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n<html>",
                "answered \"HTTP/1.1 407 Proxy Authentication Required\": it wants a user and \
                 password (--proxy-auth-file)",
            ),
            (
                "HTTP/1.1 403 Filtered\r\n\r\n",
                "answered \"HTTP/1.1 403 Filtered\"",
            ),
            ("HTTP/1.0 502 Bad\r\n\r\n", "answered \"HTTP/1.0 502 Bad\""),
            (
                "HTTP/1.1 301 X\r\nLocation: x\r\n\r\n",
                "answered \"HTTP/1.1 301 X\"",
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\n",
                "answered \"HTTP/1.1 100 Continue\"",
            ),
            ("nonsense", "answered \"nonsense\", which is not HTTP/1.1"),
        ] {
            let refused = connect(None).hear(head.as_bytes()).unwrap_err();
            assert_eq!(refused.to_string(), why);
            let may_be_otherwise = matches!(refused, Unwelcome::NotNow(_));
            assert_eq!(may_be_otherwise, head.contains("502"), "{head}");
        }
        let wrong = connect(Some("Basic eDp5")).hear(b"HTTP/1.1 407 X\r\n\r\n");
        let wrong = wrong.unwrap_err().to_string();
        assert!(
            wrong.ends_with("it does not take this user and password"),
            "{wrong}"
        );
    }
}
