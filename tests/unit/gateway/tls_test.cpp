#include "gateway/tls.h"

#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/gateway/server_rig.h"

namespace kvasir {
namespace {

using testing::chat_body;
using testing::ServerRig;
using testing::TestClient;

// A self-signed certificate for localhost, written as two PEM files.
void make_certificate(const std::string& certificate, const std::string& key_file) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), -60);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, key);
  X509_NAME* name = X509_get_subject_name(x509);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(x509, name);
  X509_sign(x509, key, EVP_sha256());
  std::FILE* file = std::fopen(certificate.c_str(), "w");
  PEM_write_X509(file, x509);
  std::fclose(file);
  file = std::fopen(key_file.c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(x509);
  EVP_PKEY_free(key);
}

// TLS over a TestClient's socket.
class TlsClient {
 public:
  TlsClient(std::uint16_t port, int version)
      : tcp_(port), context_(SSL_CTX_new(TLS_client_method())), ssl_(SSL_new(context_)) {
    SSL_set_min_proto_version(ssl_, version);
    SSL_set_max_proto_version(ssl_, version);
    static const unsigned char protocols[] = "\x02h2\x08http/1.1";
    SSL_set_alpn_protos(ssl_, protocols, sizeof protocols - 1);
    SSL_set_fd(ssl_, tcp_.fd());
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ERR_clear_error();
  }
  bool connected() const { return connected_; }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return std::string(reinterpret_cast<const char*>(name), size);
  }
  void send(const std::string& bytes) { SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())); }
  std::string read_until(const std::string& text) {
    std::string all;
    char buffer[4096];
    while (all.find(text) == std::string::npos) {
      const int n = SSL_read(ssl_, buffer, sizeof buffer);
      if (n <= 0) break;
      all.append(buffer, static_cast<std::size_t>(n));
    }
    return all;
  }
  bool server_said_goodbye() {
    char byte;
    return SSL_read(ssl_, &byte, 1) <= 0 && SSL_get_shutdown(ssl_) == SSL_RECEIVED_SHUTDOWN;
  }
  TestClient& tcp() { return tcp_; }

 private:
  TestClient tcp_;
  SSL_CTX* context_;
  SSL* ssl_;
  bool connected_ = false;
};

class TlsServer : public ::testing::Test {
 protected:
  TlsServer() { make_certificate(dir_ / "cert.pem", dir_ / "key.pem"); }
  ServerRig::Options options() const {
    ServerRig::Options o = ServerRig::options();
    o.config.tls.certificate = dir_ / "cert.pem";
    o.config.tls.key = dir_ / "key.pem";
    return o;
  }
  testing::TempDir dir_;
};

TEST_F(TlsServer, SpeaksBothVersions) {
  ServerRig rig(options());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(rig.port(), version);
    ASSERT_TRUE(client.connected());
    EXPECT_EQ(client.protocol(), "http/1.1");
    client.send(testing::post(testing::kChat, chat_body("a", 20, R"("stream":true)")));
    EXPECT_NE(client.read_until("0\r\n\r\n").find("data: [DONE]"), std::string::npos);
    client.send(testing::get("/healthz", "Connection: close\r\n"));
    EXPECT_NE(client.read_until("ok\n").find("200 OK"), std::string::npos);
    EXPECT_TRUE(client.server_said_goodbye());
  }
}

TEST_F(TlsServer, MinimumVersionIsKept) {
  ServerRig::Options o = options();
  o.config.tls.min_version = "1.3";
  ServerRig rig(o);
  EXPECT_FALSE(TlsClient(rig.port(), TLS1_2_VERSION).connected());
  EXPECT_TRUE(TlsClient(rig.port(), TLS1_3_VERSION).connected());
}

TEST_F(TlsServer, ADisconnectFreesTheBlocks) {
  ServerRig::Options o = options();
  o.backend.delay_per_step = std::chrono::milliseconds(2);
  ServerRig rig(o);
  for (const bool stream : {false, true}) {
    TlsClient client(rig.port(), TLS1_3_VERSION);
    client.send(testing::post(testing::kChat, chat_body("b", 5000, stream ? R"("stream":true)" : "")));
    ASSERT_TRUE(rig.eventually([](const EngineStats& s) { return s.running == 1; }));
    client.tcp().reset();
    EXPECT_TRUE(rig.all_blocks_returned());
  }
  EXPECT_LT(rig.stats().tokens_generated, 4000u);
}

TEST_F(TlsServer, ASilentOrBrokenHandshakeEnds) {
  ServerRig::Options o = options();
  o.config.limits.header_timeout = std::chrono::milliseconds(150);
  ServerRig rig(o);
  TestClient silent(rig.port()), plain(rig.port());
  plain.send(testing::get("/healthz"));
  EXPECT_TRUE(plain.closed_by_server());
  EXPECT_TRUE(silent.closed_by_server());
}

TEST_F(TlsServer, BadFilesAreNamed) {
  TlsConfig config;
  config.certificate = dir_ / "none.pem";
  config.key = dir_ / "key.pem";
  EXPECT_NE(TlsContext::load(config).error().message.find("none.pem"), std::string::npos);
  make_certificate(dir_ / "cert2.pem", dir_ / "key2.pem");
  config.certificate = dir_ / "cert.pem";
  config.key = dir_ / "key2.pem";
  EXPECT_FALSE(TlsContext::load(config).ok());
}

}  // namespace
}  // namespace kvasir
