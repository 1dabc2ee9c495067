// Frames and packets between daemon and workers: what goes in comes out, whatever else comes is refused.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "common/packet_link.hpp"
#include "common/pool_protocol.hpp"
#include "common/zygote_protocol.hpp"

namespace stint::worker {
namespace {

Begin sample_begin() {
  Begin begin;
  begin.run = {17, 3};
  begin.argv = {"printf", "%s", std::string("nul\0inside", 10)};
  begin.env = {{"A", "1"}, {"B", ""}};
  begin.cwd = "/tmp";
  begin.item = "item";
  begin.input = InputKind::bytes;
  begin.input_data = "in";
  begin.out = {OutputKind::file, "out.txt", true};
  begin.err.output = OutputKind::to_stdout;
  begin.output_limit = 1U << 30U;
  begin.timeout = std::chrono::milliseconds(1'500);
  begin.leftovers = Leftovers::keep;
  begin.durable = false;
  return begin;
}

template <class Frame>
std::string bytes_of(const Frame& frame) {
  std::string bytes;
  encode(bytes, frame);
  return bytes;
}

TEST(Frames, RoundTrip) {
  const std::string bytes = bytes_of(sample_begin());
  std::string_view rest = bytes;
  const auto view = next_frame(rest);
  ASSERT_TRUE(view);
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(view->kind, FrameKind::begin);
  EXPECT_EQ(bytes_of(decode<Begin>(*view)), bytes);
}

template <class Frame>
Frame again(const Frame& frame) {
  const std::string bytes = bytes_of(frame);
  std::string_view rest = bytes;
  const auto view = next_frame(rest);
  EXPECT_TRUE(view && rest.empty());
  EXPECT_EQ(view->kind, Frame::kind);
  Frame decoded = decode<Frame>(*view);
  EXPECT_EQ(bytes_of(decoded), bytes);
  return decoded;
}

TEST(Frames, WhatATakeOverSays) {
  EXPECT_FALSE(again(sample_begin()).durable);
  const Hello hello = again(Hello{7, "instance", "/run/sock", "/state/out"});
  EXPECT_EQ(hello.epoch, 7U);
  EXPECT_EQ(hello.instance + hello.socket_path + hello.out_dir, "instance/run/sock/state/out");
  RunEnded ended;
  ended.run = {3, 1};
  ended.out = KeptStream{10, true, true, {}};
  const BegunRun begun{{2, 1}, KeptStream{8, false, true, {}}, {}};
  Swept swept{{{"runner-1", {{begun}, {ended}}}}, {{"runner-2", 99}}};
  swept = again(swept);
  EXPECT_EQ(swept.workers[0].runs.begun.at(0).run, (worker::Run{2, 1}));
  EXPECT_EQ(swept.workers[0].runs.begun[0].out->bytes, 8U);
  EXPECT_FALSE(swept.workers[0].runs.begun[0].err);
  EXPECT_TRUE(swept.workers[0].runs.ended[0].out->in_file);
  EXPECT_EQ(swept.alive[0].name, "runner-2");
  EXPECT_EQ(swept.alive[0].pid, 99);
  EXPECT_EQ(again(ClearWorker{"runner-3"}).name, "runner-3");
  EXPECT_EQ(again(RemoveWorker{"runner-4"}).name, "runner-4");
  EXPECT_EQ(again(Died{"runner-5", 7, unknown_wait_status, {}}).wait_status, unknown_wait_status);
}

TEST(Frames, LaterFieldsAreThereOrNot) {
  EXPECT_EQ(again(Welcome{17, 3}).revision, 3U);
  EXPECT_EQ(again(FeedInput{1, {2, 3}, "abc", true, 7}).offset, 7U);
  EXPECT_FALSE(again(FeedInput{1, {2, 3}, "abc", true, {}}).offset);
  // As an earlier build writes it.
  const std::string earlier = bytes_of(Welcome{17, {}});
  EXPECT_EQ(earlier.size(), 5 + sizeof(std::int32_t));
  EXPECT_FALSE(decode<Welcome>({FrameKind::welcome, std::string_view(earlier).substr(5)}).revision);
  // A part of one is none.
  EXPECT_THROW((void)decode<Welcome>({FrameKind::welcome, std::string_view(earlier + "1").substr(5)}), Error);
}

TEST(Frames, OfPools) {
  SetPool pool;
  pool.number = 7;
  pool.name = "p";
  pool.argv = {"w", "-x"};
  pool.env = {{"A", "1"}};
  pool.max_jobs = 5;
  pool.idle_timeout = std::chrono::seconds(2);
  EXPECT_EQ(again(pool).argv, pool.argv);
  EXPECT_EQ(again(DropPool{7}).number, 7U);
  PoolMessage message;
  message.run = {17, 2};
  message.args = "[1]";
  message.capture = false;
  message.timeout = std::chrono::milliseconds(5);
  EXPECT_EQ(again(message).timeout, message.timeout);
  PoolAnswered answered;
  answered.run = {17, 2};
  answered.failure = PoolFailure{"spawn", "no", "{}", 127};
  answered.err = KeptStream{3, false, false, "abc"};
  EXPECT_EQ(again(answered).failure->exit_code, 127);
  EXPECT_EQ(again(PoolProgress{{17, 2}, 500'000, "half"}).text, "half");
}

TEST(Frames, EachCutAndEachExtraByteIsRefused) {
  const std::string bytes = bytes_of(sample_begin());
  const std::string_view payload = std::string_view(bytes).substr(5);
  for (std::size_t size = 0; size < payload.size(); ++size) {
    EXPECT_THROW(static_cast<void>(decode<Begin>({FrameKind::begin, payload.substr(0, size)})), Error) << size;
  }
  EXPECT_THROW(static_cast<void>(decode<Begin>({FrameKind::begin, bytes.substr(5) + "x"})), Error);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    std::string_view cut = std::string_view(bytes).substr(0, size);
    EXPECT_FALSE(next_frame(cut)) << size;
  }
}

TEST(Frames, ChoicesAndLengthsAreChecked) {
  std::string stop = bytes_of(StopRun{{1, 1}, true});
  stop.back() = 2;  // a boolean
  std::string_view rest = stop;
  EXPECT_THROW(static_cast<void>(decode<StopRun>(*next_frame(rest))), Error);

  std::string huge(5, '\0');
  const auto length = static_cast<std::uint32_t>(frame_bytes_max + 1);
  std::memcpy(huge.data(), &length, sizeof length);
  rest = huge;
  EXPECT_THROW(static_cast<void>(next_frame(rest)), Error);
  const std::uint32_t bound = frame_bytes_max;
  std::memcpy(huge.data(), &bound, sizeof bound);
  rest = huge;
  EXPECT_FALSE(next_frame(rest));  // allowed, and not all there

  // A list that claims more elements than there are bytes must not reserve memory for them.
  const std::string lie("\xff\xff\xff\xff", 4);
  EXPECT_THROW(static_cast<void>(decode<Swept>({FrameKind::swept, lie})), Error);
}

class Links : public ::testing::Test {
 protected:
  Links() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    left = PacketLink(UniqueFd(ends[0]));
    right = PacketLink(UniqueFd(ends[1]));
  }
  PacketLink left;
  PacketLink right;
};

TEST_F(Links, ManySmallFramesKeepTheirOrder) {
  constexpr std::uint64_t count = 200'000;
  for (std::uint64_t i = 0; i < count; ++i) left.post(Done{i, {}});
  EXPECT_EQ(left.flush(), PacketLink::Flush::blocked);
  std::uint64_t next = 0;
  while (next < count) {
    ASSERT_NE(right.receive([&](const FrameView& frame) { ASSERT_EQ(decode<Done>(frame).question, next++); }),
              PacketLink::Receive::closed);
    ASSERT_NE(left.flush(), PacketLink::Flush::broken);
  }
  EXPECT_FALSE(left.has_unsent());
}

TEST_F(Links, AFrameMayBeLargerThanAnyPacket) {
  FeedInput large{1, {2, 3}, std::string(20U << 20U, 'x'), true, {}};
  large.bytes.back() = 'y';
  left.post(large);
  left.post(Done{7, {}});
  int frames = 0;
  while (frames < 2) {
    ASSERT_NE(left.flush(), PacketLink::Flush::broken);
    ASSERT_NE(right.receive([&](const FrameView& frame) {
      if (++frames == 1) {
        EXPECT_EQ(decode<FeedInput>(frame).bytes, large.bytes);
      } else {
        EXPECT_EQ(decode<Done>(frame).question, 7U);
      }
    }),
              PacketLink::Receive::closed);
  }
}

TEST_F(Links, AnotherEpochIsIgnoredAnotherVersionRefused) {
  right.set_epoch(2);
  left.set_epoch(1);
  left.post(Done{1, {}});
  left.flush();
  left.set_epoch(2);
  left.post(Done{2, {}});
  left.flush();
  std::vector<std::uint64_t> seen;
  EXPECT_EQ(right.receive([&](const FrameView& frame) { seen.push_back(decode<Done>(frame).question); }),
            PacketLink::Receive::drained);
  EXPECT_EQ(seen, std::vector<std::uint64_t>{2});

  const std::string packet("\x02\0\0\0\x02\0\0\0", 8);
  ASSERT_EQ(::send(left.fd(), packet.data(), packet.size(), 0), 8);
  EXPECT_THROW(right.receive([](const FrameView&) {}), Error);
}

TEST_F(Links, TheEndIsSeenAfterWhatWasSent) {
  left.post(Done{1, {}});
  left.flush();
  left.close();
  int frames = 0;
  EXPECT_EQ(right.receive([&](const FrameView&) { ++frames; }), PacketLink::Receive::closed);
  EXPECT_EQ(frames, 1);
  right.post(Done{1, {}});
  EXPECT_EQ(right.flush(), PacketLink::Flush::broken);
}

}  // namespace
}  // namespace stint::worker
