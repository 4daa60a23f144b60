//! A bare nginx in front of the upstream: what a proxy costs that does nothing else.
//!
//! It keeps connections on both sides open, writes no log, passes frames on as they come, and verifies the upstream's
//! certificate, as the gateway does. CPU time is that of its master and its workers.

use std::{fs, io, net::SocketAddr, path::Path, time::Duration};

use tokio::net::TcpStream;

use crate::{
    certificates::{self, Certificates},
    child::{Process, command, eventually},
    options::Options,
    target::Tls,
    upstream::Addresses,
};

const START: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Nginx {
    pub process: Process,
    /// Plaintext on both sides.
    plain: SocketAddr,
    with_clients: SocketAddr,
    with_upstream: SocketAddr,
}

impl Nginx {
    /// `folder` is its own; everything it writes goes there. Without certificates it speaks no TLS.
    pub(crate) async fn start(
        options: &Options,
        workers: usize,
        folder: &Path,
        upstream: Addresses,
        certificates: Option<&Certificates>,
    ) -> io::Result<Self> {
        let [plain, with_clients, with_upstream] =
            [free_address().await?, free_address().await?, free_address().await?];
        let mut servers = server(&listen(plain, workers), "", "http://emulator");
        servers += &pool("emulator", upstream.plain);
        if let Some((files, secure)) = certificates.zip(upstream.tls) {
            let ssl = ssl(files);
            servers += &server(&format!("{} ssl", listen(with_clients, workers)), &ssl, "http://emulator");
            servers += &pool("secure_emulator", secure);
            servers += &server(&listen(with_upstream, workers), &proxy_ssl(files), "https://secure_emulator");
        }
        let file = folder.join("nginx.conf");
        fs::write(&file, config(folder, workers, &servers))?;
        let mut command = command(&options.nginx, options.pin_proxies.as_deref());
        command.arg("-p").arg(folder).arg("-c").arg(&file).arg("-e").arg(folder.join("error.log"));
        let log = folder.join("output.log");
        let process = Process::logging("nginx", &mut command, &log)?;
        Ok(Self { process, plain, with_clients, with_upstream })
    }

    pub(crate) const fn addr(&self, tls: Tls) -> SocketAddr {
        match tls {
            Tls::Nowhere => self.plain,
            Tls::WithClients => self.with_clients,
            Tls::WithUpstream => self.with_upstream,
        }
    }

    /// Waits until it listens. Apart from the start, so that it can be stopped kindly meanwhile: killed, it would leave
    /// its workers behind.
    pub(crate) async fn listens(&self) -> io::Result<()> {
        eventually("nginx listens", START, || TcpStream::connect(self.plain)).await.map(|_| ())
    }
}

/// An address that nobody listens on at this moment.
pub(crate) async fn free_address() -> io::Result<SocketAddr> {
    tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()
}

/// Several workers each have a queue of their own: connections that come all at once would otherwise go to one of them.
fn listen(addr: SocketAddr, workers: usize) -> String {
    format!("{addr} backlog=4096{}", if workers > 1 { " reuseport" } else { "" })
}

fn pool(name: &str, addr: SocketAddr) -> String {
    format!(
        "    upstream {name} {{
        server {addr};
        keepalive 4096;
        keepalive_requests 1000000000;
    }}
"
    )
}

fn server(listen: &str, more: &str, to: &str) -> String {
    format!(
        "    server {{
        listen {listen};
{more}        location / {{
            proxy_pass {to};
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
"
    )
}

fn ssl(files: &Certificates) -> String {
    format!(
        "        ssl_certificate {};
        ssl_certificate_key {};
        ssl_protocols TLSv1.2 TLSv1.3;
",
        files.certificate.display(),
        files.key.display()
    )
}

fn proxy_ssl(files: &Certificates) -> String {
    format!(
        "        proxy_ssl_protocols TLSv1.2 TLSv1.3;
        proxy_ssl_verify on;
        proxy_ssl_trusted_certificate {};
        proxy_ssl_server_name on;
        proxy_ssl_name {};
",
        files.authority.display(),
        certificates::NAME
    )
}

fn config(folder: &Path, workers: usize, servers: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes {workers};
worker_rlimit_nofile 32768;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 128k;
    client_max_body_size 32m;
    keepalive_requests 1000000000;
    tcp_nodelay on;
{servers}}}
"
    )
}
