//! The time of a line, such as `2026-11-26T00:31:00.209251Z`.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const SECOND: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].");

/// `2026-11-26T00:31:00.`
type Second = [u8; 20];

thread_local! {
    /// The last second that this thread has written, since the epoch: most lines are of
    /// the same one.
    static LAST: Cell<Option<(u64, Second)>> = const { Cell::new(None) };
}

/// Writes the time that it is.
#[expect(clippy::disallowed_methods, reason = "the log has a clock that no test moves")]
pub(super) fn now(out: &mut impl fmt::Write) -> fmt::Result {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    write(since_epoch.unwrap_or_default(), out)
}

fn write(since_epoch: Duration, out: &mut impl fmt::Write) -> fmt::Result {
    let mut text = *b"YYYY-MM-DDThh:mm:ss.uuuuuuZ";
    text[..20].copy_from_slice(&second(since_epoch.as_secs())?);
    let mut micros = since_epoch.subsec_micros();
    for digit in text[20..26].iter_mut().rev() {
        *digit = b"0123456789"[micros as usize % 10];
        micros /= 10;
    }
    out.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn second(since_epoch: u64) -> Result<Second, fmt::Error> {
    if let Some((_, text)) = LAST.get().filter(|(last, _)| *last == since_epoch) {
        return Ok(text);
    }
    let time = i64::try_from(since_epoch).map_err(|_| fmt::Error)?;
    let time = OffsetDateTime::from_unix_timestamp(time).map_err(|_| fmt::Error)?;
    let mut text = Second::default();
    time.format_into(&mut text.as_mut_slice(), SECOND).map_err(|_| fmt::Error)?;
    LAST.set(Some((since_epoch, text)));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_time_to_the_microsecond() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, 999_999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400, 1_000, "2000-02-29T00:00:00.000001Z"),
            (951_782_400, 120_000_000, "2000-02-29T00:00:00.120000Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59.000000Z"),
            (0, 7_000, "1970-01-01T00:00:00.000007Z"),
        ];
        for (seconds, nanos, expected) in cases {
            let mut text = String::new();
            write(Duration::new(seconds, nanos), &mut text).unwrap();
            assert_eq!(text, expected);
        }
    }
}
