// getaddrinfo as it is where no server of names answers: to be loaded with LD_PRELOAD. Names under "hangs.test" never get an
// answer, all others that of libc.
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

#include <string_view>

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  while (node != nullptr && std::string_view(node).ends_with("hangs.test")) ::pause();
  using Function = decltype(&getaddrinfo);
  static const auto real = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(node, service, hints, result);
}
