//! Keeps the certificate and the bundle right: one task follows the Secret with the authority and the configuration of
//! the webhook, and does what follows from them.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ca::TrustBundle;
use futures::{StreamExt as _, stream::BoxStream};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, ExponentialBackoff, watcher},
    },
};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::{
    authority::{Issuer, SECRET},
    rollover::Rollover,
};
use crate::tls::Certificate;

/// Whose the bundle is: what others apply leaves it alone.
const FIELD_MANAGER: &str = "mainsheet-webhook";
/// How long a watch lasts; silence of some seconds more means that nobody is at the other side.
const WATCH_SECONDS: u32 = 30;
/// Pauses after a watch has failed, with jitter.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Pause after a write, so that two who disagree do not keep the API server busy.
const WRITE_PAUSE: Duration = Duration::from_millis(500);
/// Pause after a failure of anything else.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Time for a write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing is longer without a look.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(3600);

pub(super) struct Keeper {
    pub(super) client: Client,
    pub(super) issuer: Issuer,
    pub(super) certificate: Arc<Certificate>,
    pub(super) now: fn() -> SystemTime,
}

/// What was last heard, and what is left to do.
struct Desk {
    keeper: Keeper,
    rollover: Rollover,
    secrets: Api<Secret>,
    configurations: Api<ValidatingWebhookConfiguration>,
    name: String,
    /// The data of the Secret that was taken last.
    data: Option<BTreeMap<String, ByteString>>,
    /// The Secret was looked for, and is not there.
    missing: bool,
    /// The names of the webhooks in the configuration.
    webhooks: Vec<String>,
    /// Nothing is written before.
    pause_until: Option<Instant>,
    /// What failed last, so that it is said once.
    complaint: String,
}

impl Keeper {
    /// Never ends.
    pub(super) async fn run(self) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.issuer.namespace);
        let configurations: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        let name = format!("mainsheet-{}", self.issuer.namespace);
        let mut of_secret = follow(secrets.clone(), SECRET);
        let mut of_configuration = follow(configurations.clone(), &name);
        let rollover = Rollover::new(Instant::now());
        let (webhooks, complaint) = (Vec::new(), String::new());
        let mut desk = Desk {
            keeper: self,
            rollover,
            secrets,
            configurations,
            name,
            data: None,
            missing: false,
            webhooks,
            pause_until: None,
            complaint,
        };
        loop {
            let pause = desk.pause();
            tokio::select! {
                Some(secret) = of_secret.next() => desk.take_secret(secret),
                Some(configuration) = of_configuration.next() => desk.take_configuration(configuration),
                () = tokio::time::sleep(pause) => {}
            }
            desk.act().await;
        }
    }
}

impl Desk {
    /// Until when nothing needs to be done unless something happens.
    fn pause(&self) -> Duration {
        let now = Instant::now();
        let waits = self.pause_until.filter(|at| *at > now);
        let next = [waits, self.rollover.wake_at(now)].into_iter().flatten().min();
        next.map_or(LOOK_PAUSE_MAX, |at| at.saturating_duration_since(now)).min(LOOK_PAUSE_MAX)
    }

    fn take_secret(&mut self, secret: Heard<Secret>) {
        let Some(secret) = self.heard(secret, SECRET) else { return };
        self.missing = secret.is_none();
        let Some(data) = secret.and_then(|secret| secret.data) else { return };
        if self.data.as_ref() == Some(&data) {
            return;
        }
        match self.keeper.issuer.read(&data, (self.keeper.now)()) {
            Ok(authority) => {
                tracing::info!(root = %authority.root(), roots = authority.bundle().roots().count(), "the webhook has an authority");
                self.rollover.adopt(Arc::new(authority), Instant::now());
                self.data = Some(data);
            }
            Err(fault) => self.complain(&fault),
        }
    }

    fn take_configuration(&mut self, configuration: Heard<ValidatingWebhookConfiguration>) {
        let name = self.name.clone();
        let Some(configuration) = self.heard(configuration, &name) else { return };
        self.observe(configuration);
    }

    fn observe(&mut self, configuration: Option<ValidatingWebhookConfiguration>) {
        let webhooks = configuration.map(|configuration| configuration.webhooks.unwrap_or_default());
        let bundle =
            |bundle: &ByteString| TrustBundle::from_pem(self.keeper.issuer.trust_domain.clone(), &bundle.0).ok();
        let bundles = webhooks.as_ref().map(|webhooks| {
            webhooks.iter().map(|webhook| webhook.client_config.ca_bundle.as_ref().and_then(bundle)).collect()
        });
        self.webhooks = webhooks.into_iter().flatten().map(|webhook| webhook.name).collect();
        self.rollover.observe(bundles, Instant::now());
    }

    /// What a watch brought; what has failed is said, and tried again.
    fn heard<T>(&mut self, heard: Heard<T>, what: &str) -> Option<Option<T>> {
        match heard {
            Ok(object) => Some(object),
            Err(error) => {
                self.complain(&format_args!("the watch of {what}: {error}"));
                None
            }
        }
    }

    async fn act(&mut self) {
        let now = Instant::now();
        if let Some(authority) = self.rollover.signer(now).cloned() {
            match self.keeper.issuer.sign(&authority, (self.keeper.now)()) {
                Ok(fresh) => {
                    let root = authority.root();
                    self.keeper.certificate.replace(fresh.certified);
                    self.rollover.served(authority, now + fresh.lifetime / 2, now + fresh.lifetime, now);
                    tracing::info!(%root, lifetime = ?fresh.lifetime, "the webhook has a new certificate");
                }
                Err(fault) => self.failed(&fault),
            }
        }
        if self.pause_until.is_some_and(|at| now < at) {
            return;
        }
        self.pause_until = None;
        if self.missing {
            self.create_secret().await;
        } else if let Some(bundle) = self.rollover.wanted(now) {
            self.publish(&bundle).await;
        }
    }

    /// One who finds no Secret makes one; another who was faster wins. A Secret that was deleted comes back as it was:
    /// to be rid of an authority takes a new one in its place.
    async fn create_secret(&mut self) {
        let secret = match &self.data {
            Some(data) => Ok(self.keeper.issuer.secret_of(data.clone())),
            None => self.keeper.issuer.secret((self.keeper.now)()),
        };
        let secret = match secret {
            Ok(secret) => secret,
            Err(fault) => return self.failed(&fault),
        };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match timeout(WRITE_TIMEOUT, self.secrets.create(&params, &secret)).await {
            // The watch brings it.
            Ok(Ok(_)) => self.missing = false,
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => self.missing = false,
            Ok(Err(error)) => self.failed(&format_args!("Secret {SECRET} cannot be made: {error}")),
            Err(_) => self.failed(&format_args!("Secret {SECRET} cannot be made within {WRITE_TIMEOUT:?}")),
        }
    }

    async fn publish(&mut self, bundle: &TrustBundle) {
        let roots = bundle.roots().count();
        let ca_bundle = ByteString(bundle.to_pem().into_bytes());
        let webhook = |name: &String| json!({"name": name, "clientConfig": {"caBundle": ca_bundle}});
        let apply = Patch::Apply(json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": self.name},
            "webhooks": self.webhooks.iter().map(webhook).collect::<Vec<_>>(),
        }));
        // Whoever else has written a bundle did not have the key.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = timeout(WRITE_TIMEOUT, self.configurations.patch(&self.name, &params, &apply));
        match applied.await {
            Ok(Ok(configuration)) => {
                tracing::info!(configuration = self.name, roots, "the bundle of the webhook is written");
                self.complaint.clear();
                self.observe(Some(configuration));
                self.pause_until = Some(Instant::now() + WRITE_PAUSE);
            }
            Ok(Err(error)) => self.failed(&format!("the bundle cannot be written to {}: {error}", self.name)),
            Err(_) => self.failed(&format!("the bundle cannot be written to {} within {WRITE_TIMEOUT:?}", self.name)),
        }
    }

    fn failed(&mut self, reason: &dyn std::fmt::Display) {
        self.pause_until = Some(Instant::now() + RETRY_PAUSE);
        self.complain(reason);
    }

    fn complain(&mut self, reason: &dyn std::fmt::Display) {
        let reason = reason.to_string();
        if self.complaint != reason {
            tracing::warn!(reason, "the webhook's certificate or bundle cannot be kept; what there is stays in force");
            self.complaint = reason;
        }
    }
}

/// An object as it stands, `None` when it is not there, or why that is not known.
type Heard<K> = Result<Option<K>, watcher::Error>;

/// Follows the one object of this name, for ever.
fn follow<K>(api: Api<K>, name: &str) -> BoxStream<'static, Heard<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).timeout(WATCH_SECONDS);
    let pauses = backon::ExponentialBuilder::default()
        .with_min_delay(PAUSE_MIN)
        .with_max_delay(PAUSE_MAX)
        .without_max_times()
        .with_jitter();
    let events = watcher(api, config).backoff(ExponentialBackoff::from(pauses));
    let heard = events.scan(false, |listed, event| {
        let heard = match event {
            Ok(Event::Init) => {
                *listed = false;
                None
            }
            Ok(Event::InitApply(object)) => {
                *listed = true;
                Some(Ok(Some(object)))
            }
            Ok(Event::InitDone) => (!*listed).then_some(Ok(None)),
            Ok(Event::Apply(object)) => Some(Ok(Some(object))),
            Ok(Event::Delete(_)) => Some(Ok(None)),
            Err(error) => Some(Err(error)),
        };
        std::future::ready(Some(heard))
    });
    heard.filter_map(std::future::ready).boxed()
}
