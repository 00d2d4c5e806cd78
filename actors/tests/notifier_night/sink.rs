//! A mail server in the process that does what the night's script says, and keeps what it took.

use crate::notifier_world::Mail;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Takes,
    /// 451 to everything: try again.
    Busy,
    /// Hangs up on everybody.
    Down,
    /// 550: never.
    Refuses,
    /// Takes a message and hangs up before it says so.
    TakesAndDrops,
}

#[derive(Debug)]
pub struct Taken {
    /// Microseconds that had passed, whatever the clock on the wall said.
    pub at: i64,
    pub to: String,
    pub mail: Mail,
}

#[derive(Debug)]
pub struct Sink {
    pub port: u16,
    pub mode: Arc<Mutex<Mode>>,
    pub taken: Arc<Mutex<Vec<Taken>>>,
}

impl Sink {
    /// `passed`: microseconds since the night began.
    pub async fn start(passed: Arc<AtomicI64>) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(Mutex::new(Mode::Takes));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (modes, kept) = (mode.clone(), taken.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (modes, kept, passed) = (modes.clone(), kept.clone(), passed.clone());
                tokio::spawn(async move { serve(socket, &modes, &kept, &passed).await.unwrap_or_default() });
            }
        });
        Sink { port, mode, taken }
    }
}

async fn serve(
    socket: TcpStream,
    mode: &Mutex<Mode>,
    taken: &Mutex<Vec<Taken>>,
    passed: &AtomicI64,
) -> std::io::Result<()> {
    let now = || *mode.lock().unwrap();
    if now() == Mode::Down {
        return Ok(());
    }
    let mut socket = BufReader::new(socket);
    socket.write_all(b"220 night\r\n").await?;
    let (mut line, mut to) = (String::new(), String::new());
    loop {
        line.clear();
        if socket.read_line(&mut line).await? == 0 || now() == Mode::Down {
            return Ok(());
        }
        let command = line.trim_end().to_ascii_uppercase();
        let answer = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" | "HELO" => "250 night",
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                to = address.to_owned();
                match now() {
                    Mode::Busy => "451 busy",
                    Mode::Refuses => "550 no such user here",
                    _ => "250 ok",
                }
            }
            "DATA" => {
                socket.write_all(b"354 go on\r\n").await?;
                let raw = message(&mut socket).await?;
                taken.lock().unwrap().push(Taken {
                    at: passed.load(Ordering::Acquire),
                    to: to.clone(),
                    mail: Mail::parse(&raw),
                });
                if now() == Mode::TakesAndDrops {
                    return Ok(());
                }
                "250 taken"
            }
            "QUIT" => {
                return socket.write_all(b"221 bye\r\n").await;
            }
            _ => "250 ok",
        };
        socket.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

async fn message(socket: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut raw = String::new();
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(raw);
        }
        raw.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
