//! Reading a body: size, pace, memory, and decompression with a cap on the way out.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::io::{self, Write};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use xxhash_rust::xxh3::Xxh3;

use crate::admission::Permit;
use crate::config::{Config, DISCARD_BYTES_MAX, GZIP_DECODER_BYTES, ZSTD_DECODER_BYTES, ZSTD_WINDOW_LOG_MAX};

/// How long the rest of a refused body may take.
const DISCARD_DEADLINE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What decoding takes besides the decoded bytes.
    pub(crate) fn decoder_bytes(self) -> usize {
        match self {
            Encoding::Identity => 0,
            Encoding::Gzip => GZIP_DECODER_BYTES,
            Encoding::Zstd => ZSTD_DECODER_BYTES,
        }
    }
}

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is larger than {0} bytes once decompressed: send it in several requests")]
    TooLarge(usize),
    #[error("too many requests are in flight; nothing of this one was taken: send it again")]
    NoRoom,
    #[error("the body did not arrive in time: send smaller requests over a slow line")]
    TooSlow,
    #[error("the body broke off or its chunks are malformed: {0}")]
    Broken(String),
    #[error("the body is not what its Content-Encoding says: {0}")]
    Undecodable(String),
}

/// Reads the whole body, and takes memory for it as it comes. Its bytes, and the permit for them.
pub(crate) async fn read(
    body: &mut Incoming,
    encoding: Encoding,
    permit: Permit,
    config: &Config,
) -> Result<(Bytes, Permit), BodyError> {
    let kept = Kept {
        permit,
        ..Kept::default()
    };
    let kept = receive(body, encoding, Room::new(kept, config.body_bytes_max), config).await?;
    Ok(kept.into_bytes())
}

/// Reads the whole body and keeps nothing of it but its hash, which is that of [`hash`].
pub(crate) async fn digest(body: &mut Incoming, encoding: Encoding, config: &Config) -> Result<u128, BodyError> {
    let room = Room::new(Hashed::default(), config.body_bytes_max);
    Ok(receive(body, encoding, room, config).await?.0.digest128())
}

/// The hash by which a body is known again.
pub(crate) fn hash(body: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(body)
}

async fn receive<T: Take>(
    body: &mut Incoming,
    encoding: Encoding,
    room: Room<T>,
    config: &Config,
) -> Result<T, BodyError> {
    let mut pace = Pace::new(config);
    let mut sink = Sink::new(encoding, room).map_err(|e| BodyError::Undecodable(e.to_string()))?;
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
            return Err(BodyError::TooLarge(config.body_bytes_max));
        }
        sink.take(data)?;
    }
    sink.finish()
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

/// Decodes the bytes of a body on their way to a [`Room`].
enum Sink<T: Take> {
    Plain(Room<T>),
    Gzip(flate2::write::MultiGzDecoder<Room<T>>),
    Zstd {
        decoder: zstd::stream::write::Decoder<'static, Room<T>>,
        any: bool,
    },
}

impl<T: Take> Sink<T> {
    fn new(encoding: Encoding, room: Room<T>) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Identity => Sink::Plain(room),
            Encoding::Gzip => Sink::Gzip(flate2::write::MultiGzDecoder::new(room)),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::raw::Decoder::new()?;
                decoder.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                let writer = zstd::stream::zio::Writer::new(room, decoder);
                Sink::Zstd {
                    decoder: zstd::stream::write::Decoder::with_writer(writer),
                    any: false,
                }
            }
        })
    }

    fn take(&mut self, data: Bytes) -> Result<(), BodyError> {
        let taken = match self {
            Sink::Plain(room) => room.take(data),
            Sink::Gzip(decoder) => decoder.write_all(&data),
            Sink::Zstd { decoder, any } => {
                *any |= !data.is_empty();
                decoder.write_all(&data)
            }
        };
        taken.map_err(|e| self.fault(&e))
    }

    /// What went wrong: the room knows better than the decoder.
    fn fault(&mut self, e: &io::Error) -> BodyError {
        let room = match self {
            Sink::Plain(room) => room,
            Sink::Gzip(decoder) => decoder.get_mut(),
            Sink::Zstd { decoder, .. } => decoder.get_mut(),
        };
        room.full
            .take()
            .unwrap_or_else(|| BodyError::Undecodable(e.to_string()))
    }

    /// What has taken the whole body.
    fn finish(mut self) -> Result<T, BodyError> {
        let ended = match &mut self {
            Sink::Plain(_) | Sink::Zstd { any: false, .. } => Ok(()),
            Sink::Gzip(decoder) => decoder.try_finish(),
            Sink::Zstd { decoder, .. } => decoder.do_finish(),
        };
        if let Err(e) = ended {
            return Err(self.fault(&e));
        }
        // Out of a decoder that will not let go of the room itself.
        Ok(std::mem::take(match &mut self {
            Sink::Plain(room) => &mut room.to,
            Sink::Gzip(decoder) => &mut decoder.get_mut().to,
            Sink::Zstd { decoder, .. } => &mut decoder.get_mut().to,
        }))
    }
}

/// Where a body goes. It refuses to grow beyond a cap, and without memory granted for it: a bomb stops here, whatever it would still
/// unpack.
struct Room<T> {
    to: T,
    len: usize,
    bytes_max: usize,
    /// Why it took no more.
    full: Option<BodyError>,
}

/// What becomes of the bytes of a body.
trait Take: Default {
    /// Makes room for a body of this length. False when there is none.
    fn reach(&mut self, len: usize) -> bool;
    /// A frame as it came; the first of the body or a later one.
    fn frame(&mut self, data: Bytes, is_first: bool);
    fn bytes(&mut self, data: &[u8]);
}

/// A body that is kept: the frames as they came; one is kept without a copy.
struct Kept {
    first: Bytes,
    all: Vec<u8>,
    permit: Permit,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            first: Bytes::new(),
            all: Vec::new(),
            permit: Permit::none(),
        }
    }
}

impl Kept {
    fn into_bytes(self) -> (Bytes, Permit) {
        let bytes = if self.all.is_empty() {
            self.first
        } else {
            Bytes::from(self.all)
        };
        (bytes, self.permit)
    }
}

impl Take for Kept {
    fn reach(&mut self, len: usize) -> bool {
        self.permit.reach(len)
    }
    fn frame(&mut self, data: Bytes, is_first: bool) {
        if is_first {
            self.first = data;
            return;
        }
        if !self.first.is_empty() {
            self.all.reserve((self.first.len() + data.len()) * 2);
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&data);
    }
    fn bytes(&mut self, data: &[u8]) {
        self.all.extend_from_slice(data);
    }
}

/// A body of which only the hash is wanted.
#[derive(Default)]
struct Hashed(Xxh3);

impl Take for Hashed {
    fn reach(&mut self, _: usize) -> bool {
        true
    }
    fn frame(&mut self, data: Bytes, _: bool) {
        self.0.update(&data);
    }
    fn bytes(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl<T: Take> Room<T> {
    fn new(to: T, bytes_max: usize) -> Self {
        Self {
            to,
            len: 0,
            bytes_max,
            full: None,
        }
    }

    /// Makes room for `more` bytes.
    fn reserve(&mut self, more: usize) -> io::Result<()> {
        let len = self.len + more;
        if len > self.bytes_max {
            self.full = Some(BodyError::TooLarge(self.bytes_max));
        } else if !self.to.reach(len) {
            self.full = Some(BodyError::NoRoom);
        }
        if self.full.is_some() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.len = len;
        Ok(())
    }

    fn take(&mut self, data: Bytes) -> io::Result<()> {
        let is_first = self.len == 0;
        self.reserve(data.len())?;
        self.to.frame(data, is_first);
        Ok(())
    }
}

impl<T: Take> Write for Room<T> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.reserve(data.len())?;
        self.to.bytes(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Pool;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    const CAP: Option<BodyError> = Some(BodyError::TooLarge(10_000));

    fn kept(permit: Permit) -> Kept {
        Kept {
            permit,
            ..Kept::default()
        }
    }

    /// Feeds in steps; the decoded bytes.
    fn through(encoding: Encoding, data: &[u8], step: usize) -> Result<Vec<u8>, BodyError> {
        let kept = feed(encoding, data, step, Room::new(kept(Permit::none()), 10_000))?;
        Ok(kept.into_bytes().0.to_vec())
    }

    fn feed<T: Take>(encoding: Encoding, data: &[u8], step: usize, room: Room<T>) -> Result<T, BodyError> {
        let mut sink = Sink::new(encoding, room).unwrap();
        for part in data.chunks(step) {
            sink.take(Bytes::copy_from_slice(part))?;
        }
        sink.finish()
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
            assert_eq!(through(Encoding::Identity, &text, step).as_ref(), Ok(&text));
            assert_eq!(through(Encoding::Gzip, &two_members, step).as_ref(), Ok(&both));
            assert_eq!(through(Encoding::Zstd, &two_frames, step).as_ref(), Ok(&both));
            // And the hash is that of the bytes, however they came.
            for (encoding, data) in [
                (Encoding::Identity, &both),
                (Encoding::Gzip, &two_members),
                (Encoding::Zstd, &two_frames),
            ] {
                let hashed = feed(encoding, data, step, Room::new(Hashed::default(), 10_000)).unwrap();
                assert_eq!(hashed.0.digest128(), hash(&both), "{encoding:?}");
            }
        }
        assert_eq!(through(Encoding::Zstd, b"", 1), Ok(vec![]));
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_cap() {
        let zeros = vec![0u8; 50 << 20];
        for (encoding, bomb) in [
            (Encoding::Gzip, gzip(&zeros)),
            (Encoding::Zstd, zstd::encode_all(&zeros[..], 3).unwrap()),
        ] {
            let pool = Pool::new(1 << 30, 1 << 20);
            let room = Room::new(kept(pool.permit(&"k".into(), 0)), 1 << 20);
            let mut sink = Sink::new(encoding, room).unwrap();
            assert_eq!(sink.take(Bytes::from(bomb)), Err(BodyError::TooLarge(1 << 20)));
            let room = match &sink {
                Sink::Gzip(d) => d.get_ref(),
                Sink::Zstd { decoder, .. } => decoder.get_ref(),
                Sink::Plain(room) => room,
            };
            let Kept { all, permit, .. } = &room.to;
            assert!(
                all.capacity() <= 2 << 20 && permit.bytes() <= 1 << 20,
                "{} bytes held",
                all.capacity()
            );
        }
    }

    #[test]
    fn a_bomb_is_cut_off_where_memory_is_short() {
        let zeros = vec![0u8; 50 << 20];
        let bomb = gzip(&zeros);
        let pool = Pool::new(64 << 20, 16 << 20);
        let other = pool.permit(&"other".into(), 0);
        let mut others = vec![other];
        while others.last_mut().is_some_and(|p| p.reach(4 << 20)) {
            others.push(pool.permit(&format!("k{}", others.len()).into(), 0));
        }
        let room = Room::new(kept(pool.permit(&"k".into(), 0)), 100 << 20);
        assert_eq!(
            feed(Encoding::Gzip, &bomb, 1 << 20, room).err(),
            Some(BodyError::NoRoom)
        );
        let hashing = Room::new(Hashed::default(), 10_000);
        assert_eq!(feed(Encoding::Gzip, &bomb, 1 << 20, hashing).err(), CAP);
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
            assert!(
                matches!(through(encoding, data, 8), Err(BodyError::Undecodable(_))),
                "{encoding:?} {data:?}"
            );
        }
    }

    #[test]
    fn a_zstd_frame_that_asks_for_a_great_window_gets_none() {
        // Magic, no single segment, window descriptor of exponent 18 (2^28 bytes), one empty last raw block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 18 << 3, 0x01, 0x00, 0x00];
        assert!(matches!(
            through(Encoding::Zstd, &frame, 100),
            Err(BodyError::Undecodable(_))
        ));
    }
}
