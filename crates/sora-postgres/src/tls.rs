//! TLS as libpq's `sslmode` has it, by rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use sora_core::{Error, ErrorKind, Result};

use crate::config::{PostgresConfig, SslMode, SslRoot};

/// Returns how TLS is spoken, or nothing if it is not.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if the certificates that are to be trusted cannot be read.
pub(crate) fn client_config(config: &PostgresConfig) -> Result<Option<Arc<ClientConfig>>> {
    if config.ssl_mode == SslMode::Disable {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            Error::new(ErrorKind::Internal, "TLS cannot be set up").with_source(error)
        })?;
    let builder = match &config.ssl_root {
        // As in libpq, whoever names no authority is encrypted but not sure of the other side.
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { chain: None, provider })),
        Some(root) if config.ssl_mode == SslMode::VerifyFull => {
            builder.with_root_certificates(roots(root)?)
        }
        Some(root) => {
            let chain = WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots(root)?),
                provider.clone(),
            );
            let chain = chain.build().map_err(|error| {
                Error::new(ErrorKind::InvalidInput, "sslrootcert holds no usable certificate")
                    .with_source(error)
            })?;
            let verifier = Verifier { chain: Some(chain), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let Some((certificate, key)) = &config.ssl_identity else {
        return Ok(Some(Arc::new(builder.with_no_client_auth())));
    };
    let chain = certificates("sslcert", certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|_| {
        // Without its source, which may quote the file.
        let message = "sslkey is not a readable private key in PEM without a passphrase";
        Error::new(ErrorKind::InvalidInput, message).with("file", key.display())
    })?;
    let config = builder.with_client_auth_cert(chain, secret).map_err(|error| {
        let message = "sslcert and sslkey do not fit together";
        Error::new(ErrorKind::InvalidInput, message).with_source(error)
    })?;
    Ok(Some(Arc::new(config)))
}

fn roots(root: &SslRoot) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    match root {
        SslRoot::File(path) => {
            for certificate in certificates("sslrootcert", path)? {
                let wrong = |error| unreadable("sslrootcert", path).with_source(error);
                store.add(certificate).map_err(wrong)?;
            }
        }
        SslRoot::System => {
            // Some of a system's roots may be of a kind that rustls does not know: the others hold.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let message = "the system has no root certificates for sslrootcert=system; install \
                               them, or name a file";
                return Err(Error::new(ErrorKind::InvalidInput, message));
            }
        }
    }
    Ok(store)
}

/// The certificates of a file: at least one.
fn certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |error| unreadable(parameter, path).with_source(error);
    let found = CertificateDer::pem_file_iter(path).map_err(wrong)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if found.is_empty() { Err(unreadable(parameter, path)) } else { Ok(found) }
}

fn unreadable(parameter: &str, path: &Path) -> Error {
    let message = format!("{parameter} is not a readable file of certificates in PEM");
    Error::new(ErrorKind::InvalidInput, message).with("file", path.display())
}

/// Checks less than rustls does by itself: no name, or nothing but who holds the key.
#[derive(Debug)]
struct Verifier {
    /// Of `verify-ca`.
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let verified =
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The name is what is checked last: all else was right.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
