//! What can go wrong with an object in a cluster, with the remedy.

/// Why the control plane was not installed or removed. What was done up to there stays; the same command goes on from there.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum InstallError {
    #[error("the manifest in this program: {0}; please report it")]
    Manifest(String),
    #[error("{object}: {reason}; {remedy}")]
    Refused { object: String, reason: String, remedy: &'static str },
    #[error("{object}: waited {seconds} s: {state}; {remedy}")]
    Late { object: String, seconds: u64, state: String, remedy: &'static str },
}

impl InstallError {
    /// What the API server answered when it was asked for `object`.
    pub(super) fn refused(object: &str, error: &kube::Error) -> Self {
        let (reason, remedy) = if let kube::Error::Api(status) = error {
            (status.message.clone(), remedy(status.code))
        } else {
            (chain(error), "see that the API server can be reached: kubectl cluster-info")
        };
        Self::Refused { object: object.to_owned(), reason, remedy }
    }
}

fn remedy(code: u16) -> &'static str {
    match code {
        401 | 403 => "do it as an administrator of the cluster, with --kubeconfig and --context",
        404 => "make the namespace first, or leave --dry-run=server out",
        409 => "somebody else set these fields; --force-conflicts takes them over",
        _ => "mend what it names and run the command again: it goes on from here",
    }
}

/// The error with all its causes: the outermost alone says little of a connection.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::InstallError;

    #[test]
    fn a_refusal_names_object_reason_and_remedy() {
        let status = Status::failure("conflict with \"kubectl\": .spec.replicas", "Conflict").with_code(409);
        let error = InstallError::refused("Deployment istio-system/mainsheet", &kube::Error::Api(status.boxed()));
        assert_eq!(
            error.to_string(),
            "Deployment istio-system/mainsheet: conflict with \"kubectl\": .spec.replicas; \
             somebody else set these fields; --force-conflicts takes them over"
        );
    }
}
