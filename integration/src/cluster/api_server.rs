//! A real API server with its etcd, without nodes or controllers.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::{Api, Client, api::PostParams};

use crate::{
    cluster::{
        etcd::Etcd,
        keeper::Keeper,
        kubeconfig::{self, Credential},
        pki::{self, Authority, Usage},
    },
    outside::Program,
    ports::Loopback,
    process::Process,
    wait,
};

pub(super) const PORT: u16 = 6443;
/// The bearer token of a member of `system:masters`, who may do everything.
const ADMIN_TOKEN: &str = "admin-of-the-test-cluster";
/// In the keeper's directory.
pub(super) const KUBECONFIG: &str = "admin.kubeconfig";
/// Services get their addresses here; the first is the API server's own.
pub(super) const SERVICE_RANGE: &str = "10.96.0.0/16";
const SERVICE_IP: &str = "10.96.0.1";
/// What a token is for when nobody said.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// How long it may take until it is ready, on a machine that has much else to do.
const READY_WITHIN: Duration = Duration::from_secs(90);
const TOKEN_SECONDS: i64 = 3600;

/// A running API server with RBAC. Dropping it, or the end of this program in any way, ends it and leaves nothing.
#[derive(Debug)]
pub struct ApiServer {
    server: Process,
    etcd: Etcd,
    authority: Authority,
    ip: IpAddr,
    admin: String,
    kubeconfig: PathBuf,
    keeper: Keeper,
    _home: Loopback,
}

impl ApiServer {
    /// Starts etcd and an API server on a loopback address of their own, and waits until they serve and namespace `default` is there.
    ///
    /// Without controllers nothing makes service accounts, fills EndpointSlices, ends the deletion of a namespace, or gives the roles `view`,
    /// `edit` and `admin` their rules.
    ///
    /// # Errors
    /// The programs are missing (`make kube`), or they do not get ready.
    pub async fn start() -> Result<Self> {
        let home = Loopback::claim()?;
        Self::start_at(home.ip(), home, Keeper::start("mainsheet-kube")?, None).await
    }

    /// The same, with a store that has room for so many bytes.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with_quota(bytes: u64) -> Result<Self> {
        let home = Loopback::claim()?;
        Self::start_at(home.ip(), home, Keeper::start("mainsheet-kube")?, Some(bytes)).await
    }

    /// As [`Self::start`], with the API server at `ip` and etcd at `home`.
    pub(super) async fn start_at(ip: IpAddr, home: Loopback, keeper: Keeper, quota: Option<u64>) -> Result<Self> {
        let authority = Authority::new("kubernetes-ca")?;
        write_keys(keeper.directory(), &authority, ip)?;
        let admin = authority.issue("admin", Some("system:masters"), Usage::Client, &[])?;
        let admin = kubeconfig::text(&url(ip), &authority.certificate(), &Credential::Certificate(admin));
        let kubeconfig = keeper.directory().join(KUBECONFIG);
        write(&kubeconfig, &admin)?;
        let etcd = Etcd::start(&keeper, &home, quota)?;
        let server = start_server(&keeper, "kube-apiserver", &etcd.url(), ip)?;
        let mut it = Self { server, etcd, authority, ip, admin, kubeconfig, keeper, _home: home };
        it.ready().await?;
        Ok(it)
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, PORT)
    }

    /// The address for clients, with the scheme.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.ip)
    }

    /// The certificate, PEM, of the authority that the server's certificate is from.
    #[must_use]
    pub fn authority_pem(&self) -> String {
        self.authority.certificate()
    }

    /// The authority that client certificates are from.
    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What its files and processes belong to.
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The directory of its files and logs, which goes with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.keeper.directory()
    }

    /// A kubeconfig file of somebody who may do everything.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A bearer token of somebody who may do everything.
    #[must_use]
    pub fn admin_token(&self) -> &'static str {
        ADMIN_TOKEN
    }

    /// Writes a kubeconfig file for a user with a client certificate, who may do what RBAC allows the user and the group.
    ///
    /// # Errors
    /// The names cannot be in a certificate or the file cannot be written.
    pub fn kubeconfig_for(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let path = self.keeper.directory().join(format!("{}.kubeconfig", user.replace([':', '/'], "-")));
        write(&path, &self.kubeconfig_text(user, group)?)?;
        Ok(path)
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// The client cannot be made.
    pub async fn client(&self) -> Result<Client> {
        kubeconfig::client(&self.admin).await
    }

    /// A client with the client certificate of a user.
    ///
    /// # Errors
    /// The names cannot be in a certificate.
    pub async fn client_for(&self, user: &str, group: Option<&str>) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig_text(user, group)?).await
    }

    /// A client with a bearer token.
    ///
    /// # Errors
    /// The client cannot be made.
    pub async fn client_with_token(&self, token: &str) -> Result<Client> {
        let credential = Credential::Token(token.to_owned());
        kubeconfig::client(&kubeconfig::text(&self.url(), &self.authority_pem(), &credential)).await
    }

    /// A token of a service account, which must exist, for `audience`; valid for an hour.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn token_for(&self, namespace: &str, account: &str, audience: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let spec = TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
        let answer = answer.with_context(|| format!("token of {namespace}/{account} for {audience}"))?;
        answer.status.and_then(|status| status.token).context("the answer has no token")
    }

    /// Ends the API server at once (SIGKILL); etcd goes on.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops the API server where it is (SIGSTOP): connections stay, and nothing is answered.
    ///
    /// # Errors
    /// It is gone.
    pub fn pause(&self) -> Result<()> {
        self.server.pause()
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// It is gone.
    pub fn resume(&self) -> Result<()> {
        self.server.resume()
    }

    /// Ends the API server at once and starts it again, at the same address with the same data.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill();
        self.server = start_server(&self.keeper, "kube-apiserver", &self.etcd.url(), self.ip)?;
        self.ready().await
    }

    /// Forgets what was before now, and restarts: a watch or a page from an earlier `resourceVersion` is answered with 410 Gone.
    ///
    /// The restart is needed because the API server remembers recent changes by itself, whatever etcd has forgotten.
    ///
    /// # Errors
    /// etcd refuses, or the API server does not get ready.
    pub async fn forget_history(&mut self) -> Result<()> {
        self.etcd.compact().await?;
        self.restart().await
    }

    /// Forgets the same without a restart; what the API server remembers by itself, it goes on to remember.
    ///
    /// # Errors
    /// etcd refuses.
    pub async fn compact_store(&self) -> Result<()> {
        self.etcd.compact().await
    }

    /// Its store: to stop it and let it go on.
    pub fn store(&mut self) -> &Process {
        self.etcd.process()
    }

    /// Where the store is, for another API server.
    pub(super) fn store_url(&self) -> String {
        self.etcd.url()
    }

    /// Gives what was deleted back as room of a store that was full, and has it take writes again.
    ///
    /// # Errors
    /// etcd refuses.
    pub async fn make_room(&self) -> Result<()> {
        self.etcd.make_room().await
    }

    /// The last lines of both logs.
    #[must_use]
    pub fn log_tail(&mut self) -> String {
        format!("{}\n{}", self.etcd.process().log_tail(), self.server.log_tail())
    }

    pub(super) fn kubeconfig_text(&self, user: &str, group: Option<&str>) -> Result<String> {
        let certified = self.authority.issue(user, group, Usage::Client, &[])?;
        Ok(kubeconfig::text(&self.url(), &self.authority_pem(), &Credential::Certificate(certified)))
    }

    async fn ready(&mut self) -> Result<()> {
        let client = self.client().await?;
        let (server, etcd) = (&mut self.server, self.etcd.process());
        let probe = wait::until_within(READY_WITHIN, "the API server to be ready", async || {
            for process in [&mut *server, &mut *etcd] {
                if process.ended()?.is_some() {
                    return Ok(Err(process.log_tail()));
                }
            }
            let answer = client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?;
            ensure!(answer == "ok", "/readyz: {answer}");
            // Made a moment after it is ready.
            Api::<Namespace>::all(client.clone()).get("default").await?;
            Ok(Ok(()))
        });
        match probe.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(tail)) => bail!("ended before it was ready\n{tail}"),
            Err(error) => Err(error.context(self.log_tail())),
        }
    }
}

pub(super) fn url(ip: IpAddr) -> String {
    format!("https://{ip}:{PORT}")
}

/// The files that the API server reads.
fn write_keys(directory: &Path, authority: &Authority, ip: IpAddr) -> Result<()> {
    let mut names: Vec<_> = ["", ".default", ".default.svc", ".default.svc.cluster.local"]
        .map(|suffix| format!("kubernetes{suffix}"))
        .into();
    names.extend(["localhost", "127.0.0.1", SERVICE_IP].map(str::to_owned));
    names.push(ip.to_string());
    let server = authority.issue("kube-apiserver", None, Usage::Server, &names)?;
    let to_kubelets = authority.issue("kube-apiserver-kubelet-client", Some("system:masters"), Usage::Client, &[])?;
    let front = Authority::new("front-proxy-ca")?;
    let to_extensions = front.issue("front-proxy-client", None, Usage::Client, &[])?;
    let (token_key, token_public) = pki::token_keys()?;
    // The key of the authority is for the controller manager.
    let files = [
        ("ca.crt", authority.certificate()),
        ("ca.key", authority.key()),
        ("apiserver.crt", server.certificate),
        ("apiserver.key", server.key),
        ("kubelet-client.crt", to_kubelets.certificate),
        ("kubelet-client.key", to_kubelets.key),
        ("front-proxy-ca.crt", front.certificate()),
        ("front-proxy-client.crt", to_extensions.certificate),
        ("front-proxy-client.key", to_extensions.key),
        ("sa.key", token_key),
        ("sa.pub", token_public),
        ("tokens.csv", format!("{ADMIN_TOKEN},token-admin,1,system:masters\n")),
    ];
    files.iter().try_for_each(|(name, text)| write(&directory.join(name), text))
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Starts an API server at `ip` on the store at `etcd`, with its log under `name`.
pub(super) fn start_server(keeper: &Keeper, name: &str, etcd: &str, ip: IpAddr) -> Result<Process> {
    let mut command = keeper.command(Program::KubeApiServer.find()?);
    let file = |name: &str| keeper.directory().join(name);
    let files = [
        ("--tls-cert-file", "apiserver.crt"),
        ("--tls-private-key-file", "apiserver.key"),
        ("--client-ca-file", "ca.crt"),
        ("--token-auth-file", "tokens.csv"),
        ("--service-account-key-file", "sa.pub"),
        ("--service-account-signing-key-file", "sa.key"),
        ("--kubelet-client-certificate", "kubelet-client.crt"),
        ("--kubelet-client-key", "kubelet-client.key"),
        ("--requestheader-client-ca-file", "front-proxy-ca.crt"),
        ("--proxy-client-cert-file", "front-proxy-client.crt"),
        ("--proxy-client-key-file", "front-proxy-client.key"),
    ];
    for (flag, name) in files {
        command.arg(flag).arg(file(name));
    }
    let (ip, port) = (ip.to_string(), PORT.to_string());
    command.args(["--bind-address", &ip, "--advertise-address", &ip, "--secure-port", &port]);
    command.args(["--etcd-servers", etcd, "--service-cluster-ip-range", SERVICE_RANGE]);
    command.args(["--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction"]);
    command.args(["--service-account-issuer", ISSUER, "--api-audiences", ISSUER]);
    command.args(["--kubelet-preferred-address-types", "InternalIP", "--allow-privileged=true"]);
    requests_by_other_api_servers(&mut command);
    if ip.starts_with("127.") {
        // An EndpointSlice cannot name a loopback address.
        command.arg("--endpoint-reconciler-type=none");
    }
    keeper.run(name, &mut command)
}

/// How an API server beside this one says on whose behalf it asks.
fn requests_by_other_api_servers(command: &mut Command) {
    command.args(["--requestheader-allowed-names", "front-proxy-client"]);
    command.args(["--requestheader-username-headers", "X-Remote-User"]);
    command.args(["--requestheader-group-headers", "X-Remote-Group"]);
    command.args(["--requestheader-extra-headers-prefix", "X-Remote-Extra-"]);
}
