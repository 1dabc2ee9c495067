# stint_add_plugin(NAME sources…): a target that builds the plug-in NAME.so. In this tree and in those of plug-ins' authors.
function(stint_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE stint::plugin)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so" CXX_EXTENSIONS OFF)
  # What is missing shows when it is linked, not when it is loaded. Clang's sanitizers lie in the program alone.
  if(NOT (CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND "${STINT_SANITIZE} ${CMAKE_CXX_FLAGS}" MATCHES "address|thread|undefined"))
    target_link_options(${name} PRIVATE -Wl,--no-undefined)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Statics of templates stay the plug-in's own, whatever other plug-ins were compiled with.
    target_compile_options(${name} PRIVATE -fno-gnu-unique)
  endif()
endfunction()
