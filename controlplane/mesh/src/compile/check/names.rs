//! Which host was probably meant by one that nobody declares.

use super::Checker;
use crate::model::{
    Hostname, Namespace, code,
    code::Code,
    service::{Registry, Service},
};

/// Why a host names nothing.
pub(super) struct Missing {
    /// Half a name, or no name at all.
    pub(super) half: bool,
    /// What was probably meant.
    pub(super) remedy: String,
}

impl Missing {
    /// The code for it, where a name that is no half would have `otherwise`.
    pub(super) fn code(&self, otherwise: Code) -> Code {
        if self.half { code::HALF_QUALIFIED_HOST } else { otherwise }
    }

    /// What is wrong.
    pub(super) fn reason(&self, host: &Hostname) -> String {
        if self.half {
            format!("{host} is neither a short name nor a complete one, and is not completed")
        } else {
            format!("no Service or ServiceEntry is called {host}")
        }
    }
}

impl Checker<'_> {
    /// Whether anything declares the host, or, for a wildcard, a host that it covers.
    pub(super) fn is_declared(&self, host: &Hostname) -> bool {
        if self.mesh.declarations(host).next().is_some() {
            return true;
        }
        host.is_wildcard() && self.mesh.services().any(|service| host.covers(&service.service.hostname))
    }

    /// Looks for what was meant by a host that is not declared.
    pub(super) fn missing(&mut self, host: &Hostname, namespace: &Namespace) -> Missing {
        let domain = &self.mesh.config().spec.domain;
        let full = format!("{}.svc.{domain}", host.as_str().strip_suffix(".svc").unwrap_or(host.as_str()));
        if let Ok(full) = Hostname::parse(&full)
            && self.is_visible(&full, namespace)
        {
            return Missing { half: true, remedy: format!("did you mean {full}?") };
        }
        let guess = self.guesses_left.checked_sub(1);
        self.guesses_left = guess.unwrap_or_default();
        let remedy = match guess.and_then(|_| self.similar(host, namespace)) {
            Some(similar) => format!("did you mean {similar}?"),
            None => "declare it, or name one that is declared".into(),
        };
        Missing { half: false, remedy }
    }

    /// The same Service of another namespace, or a host that is spelt almost so. What `namespace` may not see is not named.
    fn similar(&self, host: &Hostname, namespace: &Namespace) -> Option<&Hostname> {
        let (name, _) = host.as_str().split_once('.')?;
        let hosts = || self.mesh.services().map(|service| &service.service);
        let is_visible = |service: &&Service| self.is_visible(&service.hostname, namespace);
        let is_same = |service: &&Service| service.registry == Registry::Kubernetes && service.name == name;
        let elsewhere = hosts().filter(is_same).find(is_visible);
        if let Some(elsewhere) = elsewhere {
            return Some(&elsewhere.hostname);
        }
        let len = host.as_str().len();
        hosts()
            .filter(|service| service.hostname.as_str().len().abs_diff(len) <= 2)
            .map(|service| (strsim::damerau_levenshtein(service.hostname.as_str(), host.as_str()), &service.hostname))
            .filter(|(distance, similar)| *distance <= 2 && self.is_visible(similar, namespace))
            .min()
            .map(|(_, similar)| similar)
    }

    /// Whether some declaration of the host can be seen from `namespace`.
    pub(super) fn is_visible(&self, host: &Hostname, namespace: &Namespace) -> bool {
        let default = self.mesh.config().spec.default_service_export_to;
        self.mesh
            .declarations(host)
            .any(|service| service.service.export_to.visible_from(namespace, &service.service.namespace, default))
    }
}
