// Prints docs/protocol.md. Built and run by the target protocol_doc; no part of the daemon.
#include <iostream>

#include "daemon/api/server.hpp"

int main() {
  std::cout << stint::api::protocol_markdown();
  return std::cout.good() ? 0 : 1;
}
