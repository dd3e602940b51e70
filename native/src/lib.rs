//! Only converts between JavaScript and the sampler: no logic here.
#[cfg(feature = "addon")]
mod addon {
    use napi_derive::napi;

    /// The crate's version, so that the loader can tell that it loaded the right file.
    #[napi]
    pub fn version() -> String {
        env!("CARGO_PKG_VERSION").to_string()
    }
}
