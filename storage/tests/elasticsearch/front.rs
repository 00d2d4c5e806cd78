//! A server in front of the real node: it forwards, answers in the node's place, or loses what the node answered.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

pub enum Fate {
    Forward,
    Answer(u16, String),
    /// Answers as soon as there is a permit.
    AnswerOn(Arc<Semaphore>, u16, String),
    /// The node does it, and nobody hears of it.
    LoseAnswer,
}

type Decide = Box<dyn FnMut(&Request) -> Fate + Send>;

pub struct Front {
    pub url: String,
    decide: Arc<Mutex<Decide>>,
    accepting: AbortHandle,
}

impl Front {
    pub async fn new(node: &str, decide: impl FnMut(&Request) -> Fate + Send + 'static) -> Self {
        let node = node.trim_start_matches("http://").trim_end_matches('/');
        let (user, node) = node.rsplit_once('@').map_or(("", node), |(user, node)| (user, node));
        let at = if user.is_empty() { "" } else { "@" };
        let node = node.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{user}{at}{}", listener.local_addr().unwrap());
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Box::new(decide)));
        let deciding = decide.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (node, decide) = (node.clone(), deciding.clone());
                // A connection that breaks is the client's affair.
                tokio::spawn(async move {
                    let _: std::io::Result<()> = serve(client, &node, &decide).await;
                });
            }
        });
        Self {
            url,
            decide,
            accepting: accepting.abort_handle(),
        }
    }

    pub fn decide(&self, decide: impl FnMut(&Request) -> Fate + Send + 'static) {
        *self.decide.lock().unwrap() = Box::new(decide);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One request a connection keeps it simple.
async fn serve(mut client: TcpStream, node: &str, decide: &Mutex<Decide>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = head
        .lines()
        .filter_map(|l| l.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse::<usize>().unwrap());
    while bytes.len() < head_end + length {
        if client.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let request = Request {
        head,
        body: bytes.split_off(head_end),
    };
    let fate = (decide.lock().unwrap())(&request);
    let fate = match fate {
        Fate::AnswerOn(permits, status, body) => {
            permits.acquire().await.unwrap().forget();
            Fate::Answer(status, body)
        }
        fate => fate,
    };
    match fate {
        Fate::AnswerOn(..) => unreachable!("it has just become an answer"),
        Fate::Answer(status, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            client.write_all(head.as_bytes()).await?;
            client.write_all(body.as_bytes()).await?;
        }
        Fate::Forward => {
            let answer = forward(&request, node).await?;
            client.write_all(&answer).await?;
        }
        Fate::LoseAnswer => {
            forward(&request, node).await?;
        }
    }
    client.shutdown().await
}

async fn forward(request: &Request, node: &str) -> std::io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(node).await?;
    let head = request.head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    upstream.write_all(head.as_bytes()).await?;
    upstream.write_all(&request.body).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    Ok(answer)
}

impl Request {
    pub fn is(&self, method_and_path: &str) -> bool {
        self.head.starts_with(method_and_path)
    }

    /// The ids of a bulk request, in order.
    pub fn ids(&self) -> Vec<String> {
        let lines = self.body.split(|b| *b == b'\n').step_by(2);
        lines
            .filter(|l| !l.is_empty())
            .map(|l| {
                serde_json::from_slice::<serde_json::Value>(l).unwrap()["index"]["_id"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }
}
