//! Moments as people write them: RFC 3339 in UTC, or Unix seconds.

/// The Unix time of `2026-11-22T06:26:36Z` or `1795328796`; `None` where it is
/// neither. A fraction of a second is cut off, and no offset but UTC is known.
pub fn parse(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let (front, rest) = bytes.split_at_checked(shape.len())?;
    let fits = |(&byte, &form): (&u8, &u8)| match form {
        b'd' => byte.is_ascii_digit(),
        form => byte.eq_ignore_ascii_case(&form),
    };
    if !front.iter().zip(shape).all(fits) || !is_utc(rest) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range = year >= 1970 && hour < 24 && minute < 60 && second <= 60;
    if !in_range || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
    let days = years + months + day - 1;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// `Z`, or a fraction and then that.
fn is_utc(rest: &[u8]) -> bool {
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    [&b"Z"[..], b"z", b"+00:00"].contains(&zone)
}

/// 0 for a month that is none.
fn days_in(year: u64, month: u64) -> u64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(is_leap),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_moment_is_a_date_and_time_in_utc_or_seconds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1795328796", Some(1_795_328_796)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-02-29T12:00:00Z", Some(951_825_600)),
            ("2026-11-22T06:26:36Z", Some(1_795_328_796)),
            ("2026-11-22t06:26:36z", Some(1_795_328_796)),
            ("2026-11-22T06:26:36.999Z", Some(1_795_328_796)),
            ("2026-11-22T06:26:36+00:00", Some(1_795_328_796)),
            ("2100-03-01T00:00:00Z", Some(4_107_542_400)),
            ("9999-12-31T23:59:60Z", Some(253_402_300_800)),
            ("", None),
            ("-1", None),
            ("18446744073709551616", None),
            ("2026-11-22", None),
            ("2026-11-22T06:26:36", None),
            ("2026-11-22 06:26:36Z", None),
            ("2026-11-22T06:26:36.Z", None),
            ("2026-11-22T06:26:36+01:00", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-01-00T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-1-1T00:00:00Z", None),
            ("2026-11-22T06:26:3é", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
