//! What kubectl does with the URL that exec, attach and port-forward answer: a websocket whose messages start with
//! the number of a channel (Kubernetes' remote command protocol, version 4: no message says that stdin has ended).

use crate::Outcome;
use futures_util::{SinkExt, StreamExt};
use std::process::ExitCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// How it ended, as a `Status` of Kubernetes in JSON.
const ERROR: u8 = 3;

/// Carries stdin, stdout and stderr until the far end closes; the exit code is the remote command's.
pub async fn terminal(url: &str, stdin: bool) -> Outcome<ExitCode> {
    let (mut sink, mut stream) = connect(url, "v4.channel.k8s.io").await?.split();
    let mut ours = tokio::io::stdin();
    let (mut out, mut err) = (tokio::io::stdout(), tokio::io::stderr());
    let mut reading = stdin;
    let mut buffer = vec![0; 8192];
    let mut code = ExitCode::SUCCESS;
    loop {
        tokio::select! {
            read = ours.read(&mut buffer), if reading => {
                let count = read?;
                reading = count > 0;
                if reading {
                    sink.send(Message::Binary(tagged(STDIN, &buffer[..count]).into())).await?;
                }
            }
            message = stream.next() => match message {
                Some(Ok(Message::Binary(bytes))) => match bytes.split_first() {
                    Some((&STDOUT, text)) => { out.write_all(text).await?; out.flush().await?; }
                    Some((&STDERR, text)) => { err.write_all(text).await?; err.flush().await?; }
                    Some((&ERROR, status)) if !status.is_empty() => code = exit_code(status)?,
                    _ => {}
                },
                Some(Ok(Message::Close(_))) | None => return Ok(code),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            },
        }
    }
}

/// Sends stdin to a port of the pod and prints what comes back, until the far end closes.
pub async fn forward(url: &str, port: u16) -> Outcome<()> {
    let (mut sink, mut stream) = connect(&format!("{url}?port={port}"), "v4.channel.k8s.io").await?.split();
    let mut request = Vec::new();
    tokio::io::stdin().read_to_end(&mut request).await?;
    sink.send(Message::Binary(tagged(0, &request).into())).await?;
    let mut out = tokio::io::stdout();
    // The first message of each channel repeats the port.
    let mut greeted = false;
    while let Some(message) = stream.next().await {
        match message? {
            Message::Binary(bytes) if bytes.first() == Some(&0) => {
                if greeted {
                    out.write_all(&bytes[1..]).await?;
                    out.flush().await?;
                }
                greeted = true;
            }
            Message::Binary(bytes) if bytes.len() > 3 => {
                return Err(String::from_utf8_lossy(&bytes[1..]).into());
            }
            Message::Close(_) => break,
            _ => {}
        }
    }
    Ok(())
}

async fn connect(url: &str, protocol: &'static str) -> Outcome<WebSocketStream<TcpStream>> {
    let address = url.strip_prefix("http://").ok_or_else(|| format!("not a plain HTTP address: {url}"))?;
    let host = address.split('/').next().unwrap_or(address);
    let mut request = format!("ws://{address}").into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse()?);
    // The engine's server takes no websocket without an origin, though it is for browsers only.
    request.headers_mut().insert("Origin", format!("http://{host}").parse()?);
    let (socket, _) = tokio_tungstenite::client_async(request, TcpStream::connect(host).await?).await?;
    Ok(socket)
}

fn tagged(channel: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![channel];
    message.extend_from_slice(bytes);
    message
}

/// The exit code stands as text in the causes of a failed status; another failure is an error.
fn exit_code(status: &[u8]) -> Outcome<ExitCode> {
    let status: serde_json::Value = serde_json::from_slice(status)?;
    if status["status"] == "Success" {
        return Ok(ExitCode::SUCCESS);
    }
    let causes = status["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let code =
        causes.iter().find(|cause| cause["reason"] == "ExitCode").and_then(|cause| cause["message"].as_str());
    match code {
        Some(code) => Ok(ExitCode::from(code.parse::<u8>()?)),
        None => Err(status["message"].as_str().unwrap_or("failed without a word").into()),
    }
}
