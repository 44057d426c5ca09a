//! Messages of the server: about its options, and about failures of the integration.

sync_core::sentences! {
    /// Faults of given input.
    input_given {
        access_log_unwritable(file, error) = "the access log {file} cannot be written: {error}";
        no_tls(file, error) = "{file} cannot be used for TLS: {error}";
        key_of_another(key, file) = "the key in {key} does not belong to the certificate in {file}";
        no_certificate(file) = "{file} cannot be used for TLS: there is no certificate in it";
    }

    /// Why an address cannot be listened on.
    address {
        in_use() = "another program uses it";
    }

    /// Failures of the running server.
    serving {
        integration_failed(code, error) = "integration failed [{code}]: {error}; trying again";
        integration_failed_by_fault() = "integration failed by a fault of this program; trying again";
        visits_unwritten(code, error) = "when sites came could not be written [{code}]: {error}";
    }
}
