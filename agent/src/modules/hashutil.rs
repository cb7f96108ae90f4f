//! Salt's `hashutil` module: digests, signatures and Base64 of texts.

use base64::{
    Engine,
    engine::general_purpose::{GeneralPurpose, STANDARD},
};
use futures_util::future::BoxFuture;
use md5::{Digest, Md5};
use ring::{digest, hmac};
use states::Value;

use crate::{
    files::hex,
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
    policy,
};

/// The module.
pub struct Hashutil;

impl Module for Hashutil {
    fn name(&self) -> &'static str {
        "hashutil"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(std::future::ready(answer(fun, &args, call)))
    }
}

fn answer(fun: &str, args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let text = || args.get("instr").to_string();
    Ok(match fun {
        "digest" => hashed(text().as_bytes(), &args.text("checksum")?)?.into(),
        "digest_file" => {
            let file = std::path::PathBuf::from(args.text("infile")?);
            let refuse = |error: &dyn ToString| ModuleError::Execution(error.to_string());
            policy::may_read(&call.services.config, &file).map_err(|error| refuse(&error))?;
            let bytes = std::fs::read(&file)
                .map_err(|error| refuse(&format!("File path '{}' not found: {error}", file.display())))?;
            hashed(&bytes, &args.text("checksum")?)?.into()
        }
        "md5_digest" => hashed(text().as_bytes(), "md5")?.into(),
        "sha256_digest" => hashed(text().as_bytes(), "sha256")?.into(),
        "sha512_digest" => hashed(text().as_bytes(), "sha512")?.into(),
        "base64_b64encode" => STANDARD.encode(text()).into(),
        "base64_encodestring" => lines_of_76(&STANDARD, &text()).into(),
        "base64_b64decode" | "base64_decodestring" => {
            let packed: String = text().split_whitespace().collect();
            let bytes = STANDARD
                .decode(packed)
                .map_err(|error| ModuleError::Execution(format!("this is no Base64: {error}")))?;
            String::from_utf8(bytes).map_or_else(|error| Value::Bytes(error.into_bytes()), Value::Str)
        }
        "hmac_compute" => {
            let tag = hmac::sign(&key(args), args.get("string").to_string().as_bytes());
            hex(tag.as_ref()).into()
        }
        "hmac_signature" => {
            let challenge = STANDARD.decode(args.get("challenge_hmac").to_string()).unwrap_or_default();
            let text = args.get("string").to_string();
            hmac::verify(&key(args), text.as_bytes(), &challenge).is_ok().into()
        }
        _ => return Err(ModuleError::NotAvailable { fun: format!("hashutil.{fun}") }),
    })
}

fn key(args: &Arguments) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, args.get("shared_secret").to_string().as_bytes())
}

fn hashed(bytes: &[u8], kind: &str) -> Result<String, ModuleError> {
    let algorithm = match kind {
        "md5" => return Ok(hex(&Md5::digest(bytes))),
        "sha1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &digest::SHA256,
        "sha384" => &digest::SHA384,
        "sha512" => &digest::SHA512,
        other => return Err(ModuleError::Execution(format!("Hash function '{other}' is not available."))),
    };
    Ok(hex(digest::digest(algorithm, bytes).as_ref()))
}

/// Base64 as Python's `encodestring` writes it, a line break after every 76 letters and at the end.
fn lines_of_76(engine: &GeneralPurpose, text: &str) -> String {
    text.as_bytes().chunks(57).map(|part| format!("{}\n", engine.encode(part))).collect()
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec { name: "base64_b64decode", signature: "instr", doc: "Decodes Base64." },
    FunctionSpec { name: "base64_b64encode", signature: "instr", doc: "Encodes as Base64." },
    FunctionSpec { name: "base64_decodestring", signature: "instr", doc: "Decodes Base64." },
    FunctionSpec { name: "base64_encodestring", signature: "instr", doc: "Encodes as Base64, in lines." },
    FunctionSpec {
        name: "digest",
        signature: "instr, checksum='md5'",
        doc: "Returns the hash of a text: md5, sha1, sha256, sha384, sha512.",
    },
    FunctionSpec {
        name: "digest_file",
        signature: "infile, checksum='md5'",
        doc: "Returns the hash of a file. Held to the local policy.",
    },
    FunctionSpec {
        name: "hmac_compute",
        signature: "string, shared_secret",
        doc: "Returns the HMAC-SHA256 of a text.",
    },
    FunctionSpec {
        name: "hmac_signature",
        signature: "string, shared_secret, challenge_hmac",
        doc: "Tells whether an HMAC-SHA256 in Base64 is that of a text.",
    },
    FunctionSpec { name: "md5_digest", signature: "instr", doc: "Returns the MD5 of a text." },
    FunctionSpec { name: "sha256_digest", signature: "instr", doc: "Returns the SHA-256 of a text." },
    FunctionSpec { name: "sha512_digest", signature: "instr", doc: "Returns the SHA-512 of a text." },
];
