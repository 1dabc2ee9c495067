// Values on their way from any thread to the thread of an io_context: one post a burst, however many values.
//
// `put` may be called by any thread, the receiver is called on the io_context's thread, in the order of the puts. What
// is put before the mailbox is destroyed and not yet received then is dropped; it must be destroyed on that thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace stint::exec {

template <class Value>
class Mailbox {
 public:
  using Receiver = std::function<void(Value)>;

  Mailbox(boost::asio::io_context& io, Receiver receiver) : box_(std::make_shared<Box>(io, std::move(receiver))) {}
  ~Mailbox() { box_->receiver = nullptr; }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  void put(Value value) {
    {
      const std::lock_guard lock(box_->mutex);
      box_->values.push_back(std::move(value));
      if (std::exchange(box_->posted, true)) return;
    }
    boost::asio::post(box_->io, [box = box_] { box->deliver(); });
  }

 private:
  struct Box {
    Box(boost::asio::io_context& context, Receiver receive) : io(context), receiver(std::move(receive)) {}

    void deliver() {
      {
        const std::lock_guard lock(mutex);
        values.swap(taken);
        posted = false;
      }
      for (Value& value : taken) {
        if (receiver) receiver(std::move(value));
      }
      taken.clear();
    }

    boost::asio::io_context& io;
    Receiver receiver;  // of the receiving thread only
    std::vector<Value> taken;
    std::mutex mutex;
    std::vector<Value> values;
    bool posted = false;
  };
  std::shared_ptr<Box> box_;
};

}  // namespace stint::exec
