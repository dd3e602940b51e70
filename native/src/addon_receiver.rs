//! The receiver as JavaScript sees it: conversions, and its place in Node's event loop. ingest/receiver.ts holds the same shapes
//! as types.
use crate::addon_poll::Poll;
use crate::receiver::head::Head;
use crate::receiver::{Batch, Receiver};
use napi::bindgen_prelude::{Buffer, Env, Function, Uint8Array, Uint32Array};
use napi::{Error, Result};
use napi_derive::napi;
use std::time::Duration;

#[napi(object, object_to_js = false)]
pub struct NativeHead {
    pub url: String,
    /// name, value, name, value …
    pub fields: Vec<String>,
}

#[napi(object, object_from_js = false)]
pub struct NativeBatch {
    pub bytes: Buffer,
    pub requests: Uint32Array,
    pub given: Uint32Array,
    /// There is more to read, and nobody will be told of it.
    pub more: bool,
}

#[napi]
pub struct NativeReceiver {
    open: Option<(Poll, Receiver)>,
}

fn closed() -> Error {
    Error::from_reason("the receiver is closed")
}

fn failed(error: std::io::Error) -> Error {
    Error::from_reason(error.to_string())
}

#[napi]
impl NativeReceiver {
    /// `on_ready` is called whenever there is something to read.
    #[napi(constructor)]
    pub fn new(env: Env, most_body_bytes: f64, on_ready: Function<'_, (), ()>) -> Result<Self> {
        let receiver = Receiver::open(most_body_bytes as u64).map_err(failed)?;
        let poll = Poll::start(&env, receiver.fd(), on_ready.create_ref()?)?;
        Ok(NativeReceiver { open: Some((poll, receiver)) })
    }

    /// Takes a duplicate of the descriptor; answers the connection's number.
    #[napi]
    pub fn add(&mut self, fd: i32, heads: Vec<NativeHead>) -> Result<u32> {
        let heads = heads.iter().map(|head| Head::of(&head.url, &head.fields)).collect();
        self.receiver()?.add(fd, heads).map_err(failed)
    }

    #[napi]
    pub fn read(&mut self) -> Result<NativeBatch> {
        let receiver = self.receiver()?;
        let batch = receiver.read();
        Ok(native_batch(batch, receiver.has_more()))
    }

    /// `on_ready` is not called until resume().
    #[napi]
    pub fn pause(&self) {
        if let Some((poll, _)) = &self.open {
            poll.pause();
        }
    }

    #[napi]
    pub fn resume(&self) {
        if let Some((poll, _)) = &self.open {
            poll.resume();
        }
    }

    /// The same to each; `last`: they end after it. Answers whether there is more to read, of which nobody will be told.
    #[napi]
    pub fn answer(&mut self, ids: Uint32Array, bytes: Uint8Array, last: bool) -> Result<bool> {
        let receiver = self.receiver()?;
        receiver.answer(&ids, &bytes, last);
        Ok(receiver.has_more())
    }

    /// The descriptor of a connection, whose owner is the caller from then on; -1 where it has ended.
    #[napi]
    pub fn release(&mut self, id: u32) -> Result<i32> {
        Ok(self.receiver()?.release(id).unwrap_or(-1))
    }

    /// Of the connections that wait for that long: ends those that say nothing, and gives back those whose request is not whole.
    #[napi]
    pub fn sweep(&mut self, waited_ms: f64) -> Result<NativeBatch> {
        let receiver = self.receiver()?;
        let batch = receiver.sweep(Duration::from_millis(waited_ms as u64));
        Ok(native_batch(batch, receiver.has_more()))
    }

    /// Ends all that there is.
    #[napi]
    pub fn close(&mut self) {
        self.open = None;
    }

    fn receiver(&mut self) -> Result<&mut Receiver> {
        self.open.as_mut().map(|(_, receiver)| receiver).ok_or_else(closed)
    }
}

fn native_batch(Batch { bytes, requests, given }: Batch, more: bool) -> NativeBatch {
    NativeBatch { bytes: bytes.into(), requests: requests.into(), given: given.into(), more }
}
