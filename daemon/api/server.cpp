#include "daemon/api/server.hpp"

#include <pwd.h>
#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <unordered_set>
#include <vector>

#include "daemon/api/dispatch.hpp"
#include "daemon/api/listener.hpp"
#include "daemon/api/session.hpp"

namespace stint::api {
namespace {

constexpr auto stop_patience = std::chrono::seconds(2);

std::string user_name(uid_t uid) {
  std::vector<char> text(16U << 10U);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, text.data(), text.size(), &found);
  return found == nullptr ? std::to_string(uid) : std::string(found->pw_name);
}

}  // namespace

class Server::State : public std::enable_shared_from_this<Server::State> {
 public:
  State(boost::asio::io_context& io, Backend& backend, Options options)
      : io_(io), backend_(backend), options_(std::move(options)), dispatcher_(backend, stats_, options_), timer_(io) {}

  void start() {
    listener_ =
        std::make_shared<Listener>(io_, options_, stats_, [this](UniqueFd socket, uid_t uid) { accept(std::move(socket), uid); });
    listener_->open(std::move(options_.adopted));
  }

  void stop(bool graceful, std::function<void()> done) {
    if (listener_) listener_->close();
    done_ = std::move(done);
    const auto sessions = sessions_;
    for (const auto& session : sessions) {
      if (graceful) {
        session->finish();
      } else {
        session->close();
      }
    }
    if (!done_) return;  // the last session has closed at once
    if (sessions_.empty()) return report_done();
    timer_.expires_after(stop_patience);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (error) return;
      spdlog::warn("closing {} connections that did not take their answers", self->sessions_.size());
      const auto late = self->sessions_;
      for (const auto& session : late) session->close();
    });
  }

  [[nodiscard]] const Stats& stats() const { return stats_; }

 private:
  void accept(UniqueFd socket, uid_t uid) {
    Session::Socket peer(io_);
    boost::system::error_code error;
    peer.assign(boost::asio::local::stream_protocol(), socket.get(), error);
    if (error) {
      spdlog::warn("cannot serve a connection of uid {}: {}", uid, error.message());
      return;
    }
    (void)socket.release();
    auto conversation = std::make_shared<Conversation>(user(uid), dispatcher_, backend_.feed());
    const auto session = std::make_shared<Session>(std::move(peer), std::move(conversation), options_.send_timeout,
                                                   [this](const std::shared_ptr<Session>& closed) { forget(closed); });
    sessions_.insert(session);
    ++stats_.connections;
    session->start();
  }

  void forget(const std::shared_ptr<Session>& session) {
    if (sessions_.erase(session) > 0) --stats_.connections;
    if (sessions_.empty() && done_) report_done();
  }

  void report_done() {
    timer_.cancel();
    boost::asio::post(io_, std::exchange(done_, nullptr));
  }

  std::shared_ptr<const core::User> user(uid_t uid) {
    auto& known = users_[uid];
    if (!known) known = std::make_shared<const core::User>(core::User{uid, user_name(uid)});
    return known;
  }

  boost::asio::io_context& io_;
  Backend& backend_;
  Options options_;
  Stats stats_;
  Dispatcher dispatcher_;
  std::shared_ptr<Listener> listener_;
  std::unordered_set<std::shared_ptr<Session>> sessions_;
  boost::unordered_flat_map<uid_t, std::shared_ptr<const core::User>> users_;
  boost::asio::steady_timer timer_;
  std::function<void()> done_;
};

Server::Server(boost::asio::io_context& io, Backend& backend, Options options)
    : state_(std::make_shared<State>(io, backend, std::move(options))) {}
Server::~Server() = default;

void Server::start() { state_->start(); }
void Server::stop(bool graceful, std::function<void()> done) { state_->stop(graceful, std::move(done)); }
const Stats& Server::stats() const { return state_->stats(); }

}  // namespace stint::api
