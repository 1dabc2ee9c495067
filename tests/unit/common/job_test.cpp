// The job specification as the protocol has it: each field, each form, each bound; and the record that answers show.
#include "common/job.hpp"

#include "tests/unit/common/common_support.hpp"

namespace stint {
namespace {

using test::decode_error;
using test::decode_text;

JobSpec with(const std::string& members) { return decode_text<JobSpec>(R"({"command":["true"],)" + members + "}"); }
std::string refused(const std::string& members) {
  return test::kind_and_field(decode_error<JobSpec>(R"({"command":["true"],)" + members + "}"));
}
std::string quoted(std::size_t bytes) { return "\"" + std::string(bytes, 'x') + "\""; }

TEST(JobSpec, ExactlyOneKindOfWork) {
  EXPECT_NO_THROW(static_cast<void>(decode_text<JobSpec>(R"({"shell":"true"})")));
  EXPECT_NO_THROW(static_cast<void>(decode_text<JobSpec>(R"({"task":"echo","args":[1]})")));
  EXPECT_EQ(test::kind_and_field(decode_error<JobSpec>("{}")), "invalid_params ");
  EXPECT_EQ(refused(R"("shell":"true")"), "invalid_params ");
  EXPECT_EQ(refused(R"("args":1)"), "invalid_params args");
  EXPECT_EQ(test::kind_and_field(decode_error<JobSpec>(R"({"command":[]})")), "invalid_params command");
  EXPECT_EQ(test::kind_and_field(decode_error<JobSpec>(R"({"command":[""]})")), "invalid_params command[0]");
  EXPECT_EQ(test::kind_and_field(decode_error<JobSpec>(R"({"command":["a\u0000"]})")), "invalid_params command[0]");
  EXPECT_EQ(test::kind_and_field(decode_error<JobSpec>(R"({"command":"true"})")), "invalid_params command");
  EXPECT_EQ(test::kind_and_field(decode_error<JobSpec>(R"({"shell":""})")), "invalid_params shell");
}

TEST(JobSpec, BoundsOfTheCommand) {
  const auto command = [](std::size_t elements, std::size_t bytes) {
    std::string text = R"({"command":["true")";
    for (std::size_t i = 1; i < elements; ++i) text += "," + quoted(bytes);
    return text + "]}";
  };
  EXPECT_EQ(decode_text<JobSpec>(command(limits::command_elements_max, 1)).command->size(), limits::command_elements_max);
  EXPECT_EQ(test::kind_and_field(decode_error<JobSpec>(command(limits::command_elements_max + 1, 1))), "invalid_params command");
  // "true" and one more element, each with its NUL.
  const std::size_t most = limits::command_bytes_max - 5 - 1;
  EXPECT_NO_THROW(static_cast<void>(decode_text<JobSpec>(command(2, most))));
  EXPECT_EQ(test::kind_and_field(decode_error<JobSpec>(command(2, most + 1))), "invalid_params command");
}

TEST(JobSpec, LabelsAtTheirBounds) {
  for (const char* field : {"name", "group"}) {
    const std::string key = std::string("\"") + field + "\":";
    EXPECT_NO_THROW(static_cast<void>(with(key + quoted(limits::name_bytes_max))));
    EXPECT_EQ(refused(key + quoted(limits::name_bytes_max + 1)), std::string("invalid_params ") + field);
    EXPECT_EQ(refused(key + "\"\""), std::string("invalid_params ") + field);
  }
  std::string tags = "\"t\"";
  for (std::size_t i = 1; i < limits::tags_max; ++i) tags += ",\"t\"";
  EXPECT_EQ(with("\"tags\":[" + tags + "]").tags.size(), limits::tags_max);
  EXPECT_EQ(refused("\"tags\":[" + tags + ",\"t\"]"), "invalid_params tags");
  EXPECT_EQ(refused("\"tags\":[\"a\"," + quoted(limits::name_bytes_max + 1) + "]"), "invalid_params tags[1]");
  EXPECT_EQ(refused(R"("tags":[""])"), "invalid_params tags[0]");
}

TEST(JobSpec, NumbersAtTheirBounds) {
  EXPECT_EQ(with(R"("priority":1000)").priority, 1000);
  EXPECT_EQ(with(R"("priority":-1000)").priority, -1000);
  EXPECT_EQ(refused(R"("priority":1001)"), "invalid_params priority");
  EXPECT_EQ(refused(R"("priority":-1001)"), "invalid_params priority");
  EXPECT_EQ(with(R"("timeout":0.001)").timeout, Duration(1'000));
  EXPECT_EQ(refused(R"("timeout":0.0009)"), "invalid_params timeout");
  EXPECT_EQ(refused(R"("timeout":0)"), "invalid_params timeout");
  EXPECT_EQ(with(R"("grace":0)").grace, Duration(0));
  EXPECT_EQ(with(R"("output_limit":1099511627776)").output_limit, limits::output_limit_bytes_max);
  EXPECT_EQ(refused(R"("output_limit":1099511627777)"), "invalid_params output_limit");
}

TEST(JobSpec, UmaskForms) {
  EXPECT_EQ(with(R"("umask":"022")").umask->bits, 022U);
  EXPECT_EQ(with(R"("umask":"0777")").umask->bits, 0777U);
  EXPECT_EQ(with(R"("umask":18)").umask->bits, 022U);
  for (const char* value : {"\"\"", "\"8\"", "\"1000\"", "\"00022\"", "512", "-1", "1.0", "null"}) {
    EXPECT_EQ(refused(std::string("\"umask\":") + value), "invalid_params umask") << value;
  }
}

TEST(JobSpec, EnvironmentNamesAndSize) {
  EXPECT_EQ(with(R"("env":{"A":"","B":"x=y"})").env.size(), 2U);
  EXPECT_EQ(refused(R"("env":{"":"x"})"), "invalid_params env");
  EXPECT_EQ(refused(R"("env":{"A=B":"x"})"), "invalid_params env.A=B");
  EXPECT_EQ(refused(R"("env":{"A":"\u0000"})"), "invalid_params env.A");
  EXPECT_EQ(refused(R"("env":{"A":1})"), "invalid_params env.A");
  const std::size_t most = limits::env_bytes_max - 3;  // one letter, '=' and NUL
  EXPECT_NO_THROW(static_cast<void>(with("\"env\":{\"A\":" + quoted(most) + "}")));
  EXPECT_EQ(refused("\"env\":{\"A\":" + quoted(most + 1) + "}"), "invalid_params env");
}

TEST(JobSpec, InputForms) {
  EXPECT_EQ(std::get<StdinSource::Bytes>(with(R"("stdin":"abc")").stdin_source.source).bytes, "abc");
  EXPECT_TRUE(with(R"("stdin":"stream")").stdin_source.is_stream());
  EXPECT_EQ(std::get<StdinSource::Bytes>(with(R"("stdin":{"base64":"AAE="})").stdin_source.source).bytes, std::string("\0\1", 2));
  EXPECT_EQ(std::get<StdinSource::File>(with(R"("stdin":{"file":"in"})").stdin_source.source).path, "in");
  EXPECT_TRUE(std::holds_alternative<StdinSource::Empty>(with(R"("stdin":"")").stdin_source.source));
  EXPECT_EQ(refused(R"("stdin":{"base64":"A"})"), "invalid_params stdin.base64");
  EXPECT_EQ(refused(R"("stdin":{"base64":"","file":"x"})"), "invalid_params stdin");
  EXPECT_EQ(refused(R"("stdin":{})"), "invalid_params stdin");
  EXPECT_EQ(refused(R"("stdin":1)"), "invalid_params stdin");
  EXPECT_EQ(refused(R"("stdin":{"fiel":"x"})"), "invalid_params stdin.fiel");
}

TEST(JobSpec, OutputForms) {
  EXPECT_TRUE(with(R"("stdout":"capture")").stdout_target.is_capture());
  EXPECT_TRUE(std::holds_alternative<OutputTarget::ToStdout>(with(R"("stderr":"stdout")").stderr_target.target));
  const auto spec = with(R"("stdout":{"file":"out","append":true})");
  EXPECT_TRUE(std::get<OutputTarget::File>(spec.stdout_target.target).append);
  EXPECT_EQ(refused(R"("stdout":"stdout")"), "invalid_params stdout");
  EXPECT_EQ(refused(R"("stdout":"stderr")"), "invalid_params stdout");
  EXPECT_EQ(refused(R"("stdout":{"append":true})"), "invalid_params stdout.file");
  EXPECT_EQ(refused("\"stdout\":{\"file\":" + quoted(limits::path_bytes_max + 1) + "}"), "invalid_params stdout.file");
}

TEST(JobSpec, WhereItRuns) {
  EXPECT_EQ(refused(R"("cwd":"relative")"), "invalid_params cwd");
  EXPECT_EQ(refused(R"("executor":"thread")"), "invalid_params executor");
  EXPECT_EQ(refused(R"("executor":"cluster")"), "unavailable executor");
  EXPECT_EQ(refused(R"("queue":"other")"), "unavailable queue");
  for (const char* field : {"after", "limits", "nice", "ref"}) {
    EXPECT_EQ(refused(std::string("\"") + field + "\":1"), std::string("unavailable ") + field);
  }
}

TEST(JobSpec, AMessageToAPoolHasNothingThatOnlyAProgramHas) {
  const auto error_of = [](const std::string& rest) {
    return test::kind_and_field(decode_error<JobSpec>(R"({"pool":"p")" + rest + "}"));
  };
  for (const char* field : {R"("cwd":"/")", R"("umask":"022")", R"("env":{"A":"1"})", R"("clean_env":true)", R"("stdin":"x")",
                            R"("stdout":"null")", R"("stderr":"stdout")", R"("leftovers":"keep")", R"("executor":"thread")"}) {
    const std::string text(field);
    EXPECT_EQ(error_of("," + text), "invalid_params " + text.substr(1, text.find('"', 1) - 1));
  }
  EXPECT_EQ(error_of(R"(,"task":"echo")"), "invalid_params ");
  const char* text = R"({"pool":"p","args":[1,{"a":null}],"stderr":"null","timeout":2})";
  EXPECT_EQ(json::encode_text(decode_text<JobSpec>(text)), text);
}

TEST(JobSpec, WhenItRuns) {
  EXPECT_EQ(refused(R"("delay":1,"at":5)"), "invalid_params at");
  EXPECT_EQ(refused(R"("delay":-1)"), "invalid_params delay");
  EXPECT_EQ(refused(R"("at":"tomorrow")"), "invalid_params at");
  EXPECT_EQ(refused(R"("expires":0)"), "invalid_params expires");
  EXPECT_EQ(refused(R"("keep":-1)"), "invalid_params keep");
  EXPECT_EQ(refused(R"("retry":3)"), "invalid_params retry");
  EXPECT_EQ(refused(R"("retry":{"max":1,"often":1})"), "invalid_params retry.often");
  EXPECT_EQ(refused("\"retry\":{\"max\":" + std::to_string(limits::retries_max + 1) + "}"), "invalid_params retry.max");
  EXPECT_EQ(refused(R"("retry":{"max":1,"factor":0.9})"), "invalid_params retry.factor");
  EXPECT_EQ(refused(R"("retry":{"max":1,"factor":101})"), "invalid_params retry.factor");
  EXPECT_EQ(refused(R"("retry":{"max":1,"jitter":1.1})"), "invalid_params retry.jitter");
  EXPECT_EQ(refused(R"("retry":{"max":1,"delay":5,"max_delay":4})"), "invalid_params retry.max_delay");
  EXPECT_EQ(refused(R"("retry":{"max":1,"on":[]})"), "invalid_params retry.on");
  EXPECT_EQ(refused(R"("retry":{"max":1,"on":["cancelled"]})"), "invalid_params retry.on[0]");
  EXPECT_EQ(refused(R"("stdin":"stream","retry":{"max":1})"), "invalid_params stdin");
  const auto spec = decode_text<JobSpec>("{\"command\":[\"a\"],\"retry\":{\"max\":" + std::to_string(limits::retries_max) +
                                         R"(,"factor":100,"jitter":1,"on":["lost"]},"stdin":"x","at":0})");
  EXPECT_EQ(spec.retry.max, limits::retries_max);
  EXPECT_EQ(decode_text<JobSpec>(R"({"command":["a"],"retry":{"delay":5}})").retry.max, 0U);
  EXPECT_EQ(spec.retry.on, std::vector{RetryCause::lost});
  EXPECT_EQ(spec.at, Time{});
}

TEST(JobSpec, ReadsWhatItWrites) {
  for (const char* text :
       {R"({"command":["a","b c","\"é\n"],"name":"n","tags":["x"],"env":{"A":"1"},"clean_env":true})",
        R"({"shell":"echo $STINT_ITEM","cwd":"/","umask":"027","stdin":"abc","stdout":"null","stderr":"stdout"})",
        R"({"task":"sleep","args":{"seconds":0.5},"executor":"thread","timeout":1.5,"grace":0.25,"daemon":true,"durable":false})",
        R"({"command":["c"],"stdin":{"base64":"//8="},"stdout":{"file":"o","append":true},"output_limit":0,"leftovers":"keep"})",
        R"({"command":["c"],"delay":1.5,"expires":60,"retry":{"max":3,"delay":0,"factor":1.5,"on":["lost","failed"]},"keep":0})",
        R"({"command":["c"],"group":"g","priority":-5,"stdin":"stream"})"}) {
    EXPECT_EQ(json::encode_text(decode_text<JobSpec>(text)), text);
  }
  // The one text that would be read as another form.
  const auto spec = decode_text<JobSpec>(R"({"command":["c"],"stdin":{"base64":"c3RyZWFt"}})");
  EXPECT_EQ(decode_text<JobSpec>(json::encode_text(spec)).stdin_source, spec.stdin_source);
}

TEST(JobItem, ReplacesEachMarker) {
  using List = std::vector<std::string>;
  EXPECT_EQ(expand_command({"cp", "{}", "a{}b{}"}, "{}", {"\"x y\""}), (List{"cp", "x y", "ax ybx y"}));
  EXPECT_EQ(expand_command({"echo", "{}"}, "{}", {"1.50"}), (List{"echo", "1.50"}));
  EXPECT_EQ(expand_command({"echo", "{}"}, "{}", {R"("{}")"}), (List{"echo", "{}"})) << "an item is not looked into";
  EXPECT_EQ(expand_command({"echo", "%%%"}, "%%", {R"("é\n")"}), (List{"echo", "é\n%"}));
  EXPECT_EQ(expand_command({"echo"}, "{}", {"1"}), (List{"echo"}));
}

JobRecord record_of(const JobSpec& spec) {
  JobRecord record;
  record.id = 7;
  record.spec = &spec;
  record.user = "u";
  record.executor = ExecutorKind::process;
  record.attempt = 1;
  record.submitted_at = Time{std::chrono::seconds(1000)};
  return record;
}

nlohmann::json encoded(const JobRecord& record) {
  std::string out;
  json::Writer writer(out);
  encode_record(writer, record);
  static_cast<void>(test::decode_text<json::Raw>(out));  // no key twice
  return nlohmann::json::parse(out);
}

TEST(JobRecord, ShowsTheSpecificationButNoSecrets) {
  const auto spec =
      decode_text<JobSpec>(R"({"command":["echo","{}"],"env":{"TOKEN":"s"},"stdin":"secret","name":"n","timeout":2})");
  const json::Raw item{"\"x\""};
  auto record = record_of(spec);
  record.item = &item;
  record.index = 0;
  record.state = State::queued;
  const auto json = encoded(record);
  EXPECT_EQ(json["command"], nlohmann::json({"echo", "x"}));
  EXPECT_EQ(json["item"], "x");
  EXPECT_EQ(json["index"], 0);
  EXPECT_EQ(json["state"], "queued");
  EXPECT_EQ(json["timeout"], 2);
  for (const char* absent : {"env", "stdin", "seq", "outcome", "started_at", "finished_at", "pid", "exit_code"}) {
    EXPECT_FALSE(json.contains(absent)) << absent;
  }
}

TEST(JobRecord, ShowsHowItEnded) {
  const auto spec = decode_text<JobSpec>(R"({"command":["false"]})");
  EndReport end;
  end.ending = EndReport::Exited{3};
  end.usage = Usage{Duration(1'000), Duration(2'000), 4096};
  end.stdout_content = OutputContent{{5, false}, "hello", false};
  auto record = record_of(spec);
  record.state = State::finished;
  record.outcome = Outcome::failed;
  record.seq = 9;
  record.end = &end;
  record.started_at = Time{std::chrono::seconds(1001)};
  record.finished_at = Time{std::chrono::milliseconds(1001'500)};
  auto json = encoded(record);
  EXPECT_EQ(json["exit_code"], 3);
  EXPECT_EQ(json["duration"], 0.5);
  EXPECT_EQ(json["seq"], 9);
  EXPECT_EQ(json["usage"]["max_rss"], 4096);
  EXPECT_EQ(json["stdout"], (nlohmann::json{{"bytes", 5}, {"truncated", false}}));

  end.ending = EndReport::Signalled{9};
  EXPECT_EQ(encoded(record)["signal"], 9);
  end.ending = EndReport::Failed{{"spawn", "no such file"}, 127};
  json = encoded(record);
  EXPECT_EQ(json["exit_code"], 127);
  EXPECT_EQ(json["error"]["kind"], "spawn");
  end.ending = EndReport::Lost{"the runner died"};
  EXPECT_EQ(encoded(record)["error"]["kind"], "lost");
  record.error = JobError{"cancelled", "by the user"};
  EXPECT_EQ(encoded(record)["error"]["kind"], "cancelled") << "the record's own error stands alone";
}

TEST(JobRecord, LargePayloadsStayOut) {
  const auto record_with = [](std::size_t bytes) {
    const auto spec = decode_text<JobSpec>(R"({"task":"echo","args":)" + quoted(bytes - 2) + "}");
    EndReport end;
    end.ending = EndReport::Returned{{quoted(bytes - 2)}};
    auto record = record_of(spec);
    record.end = &end;
    return encoded(record);
  };
  EXPECT_TRUE(record_with(limits::record_payload_bytes_max).contains("args"));
  EXPECT_TRUE(record_with(limits::record_payload_bytes_max).contains("result"));
  EXPECT_FALSE(record_with(limits::record_payload_bytes_max + 1).contains("args"));
  EXPECT_FALSE(record_with(limits::record_payload_bytes_max + 1).contains("result"));
}

TEST(JobOutcome, FollowsFromTheEnd) {
  const auto outcome = [](auto ending, bool timed_out = false) {
    EndReport end;
    end.ending = std::move(ending);
    end.timed_out = timed_out;
    return json::enum_name(natural_outcome(end));
  };
  EXPECT_EQ(outcome(EndReport::Exited{0}), "succeeded");
  EXPECT_EQ(outcome(EndReport::Exited{1}), "failed");
  EXPECT_EQ(outcome(EndReport::Signalled{15}), "failed");
  EXPECT_EQ(outcome(EndReport::Returned{{"null"}}), "succeeded");
  EXPECT_EQ(outcome(EndReport::Failed{}), "failed");
  EXPECT_EQ(outcome(EndReport::Exited{0}, true), "timed_out");
  EXPECT_EQ(outcome(EndReport::Lost{}, true), "lost");
}

}  // namespace
}  // namespace stint
