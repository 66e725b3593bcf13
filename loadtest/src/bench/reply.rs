//! As much of HTTP/1.1 as it takes to read an answer of known length, so that calling costs little.

/// Where an answer that has arrived lies in what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Where its body begins.
    pub body: usize,
    /// Where it ends.
    pub end: usize,
}

/// Finds the answer in what was read so far; nothing when more has to come.
///
/// # Errors
/// Why it is none that can be read.
pub fn find(read: &[u8]) -> Result<Option<Reply>, &'static str> {
    const START: &str = "what came is no HTTP/1.1";
    let Some(head) = read.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&read[..head]).map_err(|_| START)?;
    let mut lines = text.split("\r\n");
    let start = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or(START)?;
    let status = start.get(..3).and_then(|status| status.parse().ok()).ok_or(START)?;
    let length: usize = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or("the answer does not say how long it is")?;
    let body = head + 4;
    let end = body + length;
    Ok((read.len() >= end).then_some(Reply { status, body, end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_when_all_of_it_has_come() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\nhi";
        assert_eq!(find(whole), Ok(Some(Reply { status: 200, body: 44, end: 46 })));
        for cut in 0..whole.len() {
            assert_eq!(find(&whole[..cut]), Ok(None), "{cut} bytes");
        }
    }

    #[test]
    fn what_is_no_answer_of_known_length_is_refused() {
        for (read, wanted) in [
            ("SSH-2.0\r\n\r\n", "what came is no HTTP/1.1"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "the answer does not say how long it is",
            ),
        ] {
            assert_eq!(find(read.as_bytes()), Err(wanted));
        }
    }
}
