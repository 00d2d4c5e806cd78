//! Reading a body: size, pace, and decompression with a cap on the way out.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::io::{self, Write};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

use crate::config::{
    Config, DISCARD_BYTES_MAX, EXPANSION_BYTES_FLOOR, GZIP_EXPANSION_MAX, ZSTD_EXPANSION_MAX, ZSTD_WINDOW_LOG_MAX,
};

/// How long the rest of a refused body may take.
const DISCARD_DEADLINE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// The most that a body may take once decoded, given its `Content-Length`.
    pub(crate) fn worst_case(self, content_length: Option<u64>, body_bytes_max: usize) -> usize {
        let Some(length) = content_length.and_then(|n| usize::try_from(n).ok()) else {
            return body_bytes_max;
        };
        match self {
            Encoding::Identity => length,
            Encoding::Gzip => length.saturating_mul(GZIP_EXPANSION_MAX),
            Encoding::Zstd => length.saturating_mul(ZSTD_EXPANSION_MAX).max(EXPANSION_BYTES_FLOOR),
        }
        .min(body_bytes_max)
    }
}

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is larger than {0} bytes once decompressed: send it in several requests")]
    TooLarge(usize),
    #[error("the body did not arrive in time: send smaller requests over a slow line")]
    TooSlow,
    #[error("the body broke off or its chunks are malformed: {0}")]
    Broken(String),
    #[error("the body is not what its Content-Encoding says: {0}")]
    Undecodable(String),
}

/// Reads the whole body, at most `bytes_max` after decompression.
pub(crate) async fn read(
    body: Incoming,
    encoding: Encoding,
    bytes_max: usize,
    config: &Config,
) -> Result<Bytes, BodyError> {
    let mut pace = Pace::new(config);
    let mut sink = Sink::new(encoding, bytes_max).map_err(|e| BodyError::Undecodable(e.to_string()))?;
    let mut body = body;
    let too_large = || BodyError::TooLarge(bytes_max);
    loop {
        let next = timeout_at(pace.due(), body.frame())
            .await
            .map_err(|_| BodyError::TooSlow)?;
        let Some(frame) = next else { break };
        // Trailers carry nothing for us.
        let Ok(data) = frame.map_err(|e| BodyError::Broken(e.to_string()))?.into_data() else {
            continue;
        };
        pace.received += data.len();
        if pace.received > config.body_bytes_max {
            return Err(too_large());
        }
        if let Err(e) = sink.take(data) {
            return Err(if sink.is_over() {
                too_large()
            } else {
                BodyError::Undecodable(e.to_string())
            });
        }
    }
    sink.finish().map_err(|(e, over)| {
        if over {
            too_large()
        } else {
            BodyError::Undecodable(e.to_string())
        }
    })
}

/// Reads and drops what is left of a refused request's body when that is little, so that the connection can be used again and the answer
/// is not lost to a reset. False when the body is still unread.
pub(crate) async fn discard(mut body: Incoming) -> bool {
    if body.size_hint().lower() > DISCARD_BYTES_MAX {
        return false;
    }
    let due = Instant::now() + DISCARD_DEADLINE;
    let mut received = 0;
    loop {
        match timeout_at(due, body.frame()).await {
            Ok(None) => return true,
            Ok(Some(Ok(frame))) => received += frame.data_ref().map_or(0, |d| d.len() as u64),
            Ok(Some(Err(_))) | Err(_) => return false,
        }
        if received > DISCARD_BYTES_MAX {
            return false;
        }
    }
}

/// The deadlines of one body.
struct Pace<'c> {
    config: &'c Config,
    start: Instant,
    received: usize,
}

impl<'c> Pace<'c> {
    fn new(config: &'c Config) -> Self {
        Self {
            config,
            start: Instant::now(),
            received: 0,
        }
    }

    /// When the next bytes must have come: neither idle for too long, nor slower than the least rate, nor beyond the whole.
    fn due(&self) -> Instant {
        let c = self.config;
        let earned = Duration::from_secs_f64(self.received as f64 / f64::from(c.body_rate_min.max(1)));
        let by_rate = self.start + c.body_idle_deadline + earned.min(c.body_deadline);
        (Instant::now() + c.body_idle_deadline)
            .min(by_rate)
            .min(self.start + c.body_deadline)
    }
}

/// Where the bytes of a body go.
enum Sink {
    /// The frames as they came; one is kept without a copy.
    Plain {
        first: Bytes,
        all: Vec<u8>,
        bytes_max: usize,
        over: bool,
    },
    Gzip(flate2::write::MultiGzDecoder<Capped>),
    Zstd {
        decoder: zstd::stream::write::Decoder<'static, Capped>,
        any: bool,
    },
}

impl Sink {
    fn new(encoding: Encoding, bytes_max: usize) -> io::Result<Self> {
        let capped = Capped {
            out: Vec::new(),
            bytes_max,
            over: false,
        };
        Ok(match encoding {
            Encoding::Identity => Sink::Plain {
                first: Bytes::new(),
                all: Vec::new(),
                bytes_max,
                over: false,
            },
            Encoding::Gzip => Sink::Gzip(flate2::write::MultiGzDecoder::new(capped)),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::raw::Decoder::new()?;
                decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                let writer = zstd::stream::zio::Writer::new(capped, decoder);
                Sink::Zstd {
                    decoder: zstd::stream::write::Decoder::with_writer(writer),
                    any: false,
                }
            }
        })
    }

    fn take(&mut self, data: Bytes) -> io::Result<()> {
        match self {
            Sink::Plain {
                first,
                all,
                bytes_max,
                over,
            } => {
                if first.len() + all.len() + data.len() > *bytes_max {
                    *over = true;
                    return Err(io::ErrorKind::FileTooLarge.into());
                }
                if first.is_empty() && all.is_empty() {
                    *first = data;
                } else {
                    if all.is_empty() {
                        all.reserve((first.len() + data.len()) * 2);
                        all.extend_from_slice(&std::mem::take(first));
                    }
                    all.extend_from_slice(&data);
                }
                Ok(())
            }
            Sink::Gzip(decoder) => decoder.write_all(&data),
            Sink::Zstd { decoder, any } => {
                *any |= !data.is_empty();
                decoder.write_all(&data)
            }
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Sink::Plain { over, .. } => *over,
            Sink::Gzip(decoder) => decoder.get_ref().over,
            Sink::Zstd { decoder, .. } => decoder.get_ref().over,
        }
    }

    /// The body, or why not and whether it was the size.
    fn finish(self) -> Result<Bytes, (io::Error, bool)> {
        match self {
            Sink::Plain { first, all, .. } => Ok(if all.is_empty() { first } else { Bytes::from(all) }),
            Sink::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(Bytes::from(std::mem::take(&mut decoder.get_mut().out))),
                Err(e) => Err((e, decoder.get_ref().over)),
            },
            Sink::Zstd { any: false, .. } => Ok(Bytes::new()),
            Sink::Zstd { mut decoder, .. } => match decoder.do_finish() {
                Ok(()) => Ok(Bytes::from(std::mem::take(&mut decoder.get_mut().out))),
                Err(e) => Err((e, decoder.get_ref().over)),
            },
        }
    }
}

/// Memory that refuses to grow beyond a cap: a bomb stops here, whatever it would still unpack.
struct Capped {
    out: Vec<u8>,
    bytes_max: usize,
    over: bool,
}

impl Write for Capped {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.out.len() + data.len() > self.bytes_max {
            self.over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    /// Feeds in steps; the decoded bytes, or whether it was the size.
    fn through(encoding: Encoding, data: &[u8], step: usize, max: usize) -> Result<Vec<u8>, bool> {
        let mut sink = Sink::new(encoding, max).unwrap();
        for part in data.chunks(step) {
            if sink.take(Bytes::copy_from_slice(part)).is_err() {
                return Err(sink.is_over());
            }
        }
        sink.finish().map(|b| b.to_vec()).map_err(|(_, over)| over)
    }

    #[test]
    fn bodies_come_through_in_any_steps() {
        let text = b"{\"message\":\"belt torn\",\"device_id\":\"CNV-03\"}\n".repeat(50);
        let two_members = [gzip(&text), gzip(b"tail")].concat();
        let two_frames = [
            zstd::encode_all(&text[..], 3).unwrap(),
            zstd::encode_all(&b"tail"[..], 3).unwrap(),
        ]
        .concat();
        let both = [&text[..], b"tail"].concat();
        for step in [1, 7, 100, 100_000] {
            assert_eq!(through(Encoding::Identity, &text, step, 10_000).as_ref(), Ok(&text));
            assert_eq!(through(Encoding::Gzip, &two_members, step, 10_000).as_ref(), Ok(&both));
            assert_eq!(through(Encoding::Zstd, &two_frames, step, 10_000).as_ref(), Ok(&both));
        }
        assert_eq!(through(Encoding::Zstd, b"", 1, 10), Ok(vec![]));
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_cap() {
        let zeros = vec![0u8; 50 << 20];
        for (encoding, bomb) in [
            (Encoding::Gzip, gzip(&zeros)),
            (Encoding::Zstd, zstd::encode_all(&zeros[..], 3).unwrap()),
        ] {
            let mut sink = Sink::new(encoding, 1 << 20).unwrap();
            assert!(sink.take(Bytes::from(bomb)).is_err() && sink.is_over());
            let held = match &sink {
                Sink::Gzip(d) => d.get_ref().out.capacity(),
                Sink::Zstd { decoder, .. } => decoder.get_ref().out.capacity(),
                Sink::Plain { .. } => unreachable!("not plain"),
            };
            assert!(held <= 2 << 20, "{held} bytes held");
        }
    }

    #[test]
    fn broken_or_cut_streams_are_errors_and_not_size() {
        let gz = gzip(b"some text that is long enough to be cut");
        let zs = zstd::encode_all(&b"some text that is long enough to be cut"[..], 3).unwrap();
        for (encoding, data) in [
            (Encoding::Gzip, &gz[..gz.len() - 5]),
            (Encoding::Gzip, b"no gzip at all"),
            (Encoding::Zstd, &zs[..zs.len() - 5]),
            (Encoding::Zstd, b"no zstd at all"),
        ] {
            assert_eq!(through(encoding, data, 8, 10_000), Err(false), "{encoding:?} {data:?}");
        }
    }

    #[test]
    fn a_zstd_frame_that_asks_for_a_great_window_gets_none() {
        // Magic, no single segment, window descriptor of exponent 18 (2^28 bytes), one empty last raw block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 18 << 3, 0x01, 0x00, 0x00];
        assert_eq!(through(Encoding::Zstd, &frame, 100, 10_000), Err(false));
    }

    #[test]
    fn the_worst_case_is_the_length_or_what_it_can_expand_to() {
        for (encoding, length, want) in [
            (Encoding::Identity, Some(100), 100),
            (Encoding::Identity, None, 1 << 24),
            (Encoding::Gzip, Some(100), 103_200),
            (Encoding::Gzip, None, 1 << 24),
            (Encoding::Zstd, Some(100), 1 << 20),
            (Encoding::Zstd, Some(1_000), 4_096_000),
            (Encoding::Zstd, Some(u64::MAX), 1 << 24),
        ] {
            assert_eq!(encoding.worst_case(length, 1 << 24), want, "{encoding:?} {length:?}");
        }
    }
}
