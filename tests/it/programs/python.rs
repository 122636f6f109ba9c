//! CPython's own test modules, and what must happen to each.

use super::expected::{CLOCK, Expected, TERMINAL, THREAD, refused};
use super::{Program, When};
use Expected::Identical;
use When::{All, Always, OneLayer};

macro_rules! modules {
    ($($name:ident $when:ident $whole:expr, [$($left_out:literal),*];)*) => {
        const MODULES: &[Module] = &[$(Module {
            name: stringify!($name),
            when: $when,
            whole: $whole,
            left_out: &[$($left_out),*],
        }),*];

        mod module {
            $(#[test] fn $name() { super::module(stringify!($name)); })*
        }
    };
}

/// A module of CPython's tests; `asyncio_x` is `test_asyncio.test_x`.
struct Module {
    name: &'static str,
    when: When,
    /// What happens to the whole module; `None`: it is not run as a whole, because that takes too long.
    whole: Option<Expected>,
    /// Parts of the names of tests without which it is recorded and replayed.
    left_out: &'static [&'static str],
}

modules! {
    asyncio_base_events OneLayer Some(THREAD), [
        "BaseEventLoopTests.", "BaseEventLoopWithSelectorTests.", "BaseLoopSockSendfileTests."
    ];
    asyncio_buffered_proto Always Some(Identical), [];
    asyncio_context OneLayer Some(Identical), [];
    asyncio_events All Some(THREAD), [
        "EPollEventLoopTests.", "PolicyTests.test_get_event_loop_thread", "PollEventLoopTests.",
        "SelectEventLoopTests."
    ];
    asyncio_futures All Some(THREAD), [
        "CFutureTests.test_wrap_future", "CSubFutureTests.test_wrap_future", "PyFutureTests.test_wrap_future"
    ];
    asyncio_futures2 OneLayer Some(Identical), [];
    asyncio_locks Always Some(Identical), [];
    asyncio_pep492 OneLayer Some(Identical), [];
    asyncio_proactor_events OneLayer Some(Identical), [];
    asyncio_protocols OneLayer Some(Identical), [];
    asyncio_queues Always Some(Identical), [];
    asyncio_runners OneLayer Some(Identical), [];
    asyncio_selector_events OneLayer Some(THREAD), [
        "BaseSelectorEventLoopTests.test_sock_connect_resolve_using_socket_params"
    ];
    asyncio_server OneLayer Some(THREAD), [
        "SelectorStartServerTests.test_start_server_1", "SelectorStartServerTests.test_start_unix_server_1"
    ];
    asyncio_sock_lowlevel OneLayer Some(THREAD), [];
    asyncio_sslproto OneLayer Some(THREAD), ["SelectorStartTLSTests."];
    asyncio_streams OneLayer Some(THREAD), [];
    asyncio_subprocess All Some(THREAD), [
        "SubprocessSafeWatcherTests.", "SubprocessThreadedWatcherTests.", "SubprocessFastWatcherTests."
    ];
    asyncio_taskgroups All Some(Identical), [];
    asyncio_tasks All None, ["RunCoroutineThreadsafeTests.", "test_env_var_debug"];
    asyncio_threads OneLayer Some(THREAD), [];
    asyncio_timeouts OneLayer Some(Identical), [];
    asyncio_transports OneLayer Some(Identical), [];
    asyncio_unix_events OneLayer Some(THREAD), [
        "PolicyTests.test_get_child_watcher_thread", "SelectorEventLoopUnixSockSendfileTests."
    ];
    asyncio_waitfor OneLayer Some(Identical), [];
    test_aifc All Some(Identical), [];
    test_argparse All Some(Identical), [];
    test_array OneLayer Some(Identical), [];
    test_ast All Some(Identical), [];
    test_asyncgen OneLayer Some(Identical), [];
    test_asyncore All Some(THREAD), [
        "DispatcherWithSendTests.test_send", "TestAPI_UseIPv4Poll.test_quick_connect",
        "TestAPI_UseIPv4Select.test_quick_connect", "TestAPI_UseIPv6Poll.test_quick_connect",
        "TestAPI_UseIPv6Select.test_quick_connect"
    ];
    test_audioop All Some(Identical), [];
    test_base64 OneLayer Some(Identical), [];
    test_bigmem All Some(Identical), [];
    test_binascii OneLayer Some(Identical), [];
    test_bisect OneLayer Some(Identical), [];
    test_bool All Some(Identical), [];
    test_bufio OneLayer Some(Identical), [];
    test_builtin OneLayer Some(Identical), [];
    test_bytes All Some(Identical), [];
    test_bz2 All Some(THREAD), [
        "BZ2FileTest.", "BZ2CompressorTest.testCompressChunks10", "BZ2CompressorTest.testCompress", "OpenTest.",
        "CompressDecompressTest.testCompress"
    ];
    test_calendar OneLayer Some(Identical), [];
    test_charmapcodec All Some(Identical), [];
    test_class All Some(Identical), [];
    test_cmath OneLayer Some(Identical), [];
    test_cmd All Some(Identical), [];
    test_codeccallbacks All Some(Identical), [];
    test_codecencodings_jp All Some(Identical), [];
    test_codecs All Some(Identical), [];
    test_collections OneLayer Some(Identical), [];
    test_colorsys All Some(Identical), [];
    test_compile All Some(Identical), [];
    test_complex OneLayer Some(Identical), [];
    test_configparser All Some(Identical), [];
    test_contextlib All Some(Identical), [];
    test_copy All Some(Identical), [];
    test_coroutines All Some(Identical), [];
    test_crypt All Some(Identical), [];
    test_csv OneLayer Some(Identical), [];
    test_ctypes All Some(THREAD), ["test_errno.Test."];
    test_dataclasses All Some(Identical), [];
    test_datetime All Some(Identical), [];
    test_dbm OneLayer Some(Identical), [];
    test_decorators All Some(Identical), [];
    test_defaultdict All Some(Identical), [];
    test_deque All Some(Identical), [];
    test_descr All Some(Identical), [];
    test_dict OneLayer Some(Identical), [];
    test_difflib All Some(Identical), [];
    test_dis All Some(Identical), [];
    test_dtrace All Some(Identical), [];
    test_email All Some(THREAD), ["TestMiscellaneous.test_make_msgid_collisions"];
    test_enum All Some(THREAD), ["OldTestFlag.test_unique_composite", "OldTestIntFlag.test_unique_composite"];
    test_enumerate All Some(Identical), [];
    test_epoll Always Some(Identical), [];
    test_exceptions All Some(Identical), [];
    test_faulthandler All Some(Identical), [];
    test_fcntl OneLayer Some(refused(1, "refused fcntl(F_NOTIFY)", "it asks for notices of a directory (F_NOTIFY): refused, EINVAL")), ["test_fcntl_64_bit"];
    test_file Always Some(Identical), [];
    test_filecmp All Some(Identical), [];
    test_fileinput All Some(Identical), [];
    test_fileio OneLayer Some(Identical), [];
    test_float Always Some(Identical), [];
    test_fnmatch OneLayer Some(Identical), [];
    test_format All Some(Identical), [];
    test_fractions OneLayer Some(Identical), [];
    test_fstring All Some(Identical), [];
    test_ftplib All Some(THREAD), [
        "TestFTPClass.", "TestIPv6Environment.", "TestTLS_FTPClass.", "TestTLS_FTPClassMixin.", "TestTimeouts."
    ];
    test_functools OneLayer Some(THREAD), [
        "TestCachedProperty.test_threaded", "TestLRUC.test_lru_cache_threaded", "TestLRUPy.test_lru_cache_threaded"
    ];
    test_gc All Some(THREAD), ["GCTests.", "PythonFinalizationTests.test_ast_fini"];
    test_generators OneLayer Some(Identical), [];
    test_genericpath All Some(Identical), [];
    test_getopt All Some(Identical), [];
    test_getpass All Some(Identical), [];
    test_getpath All Some(Identical), [];
    test_gettext All Some(Identical), [];
    test_glob OneLayer Some(Identical), [];
    test_grammar All Some(Identical), [];
    test_grp All Some(Identical), [];
    test_gzip OneLayer Some(Identical), [];
    test_hashlib All Some(THREAD), ["HashLibTestCase.test_threaded_hashing"];
    test_heapq OneLayer Some(Identical), [];
    test_hmac OneLayer Some(Identical), [];
    test_html All Some(Identical), [];
    test_htmlparser All Some(Identical), [];
    test_http_cookiejar All Some(Identical), [];
    test_http_cookies All Some(Identical), [];
    test_httplib All Some(THREAD), [
        "BasicTest.test_large_content_length", "BasicTest.test_response_fileno", "HTTPSTest."
    ];
    test_imaplib All None, [
        "NewIMAPSSLTests.", "NewIMAPTests.", "ThreadedNetworkedTests.", "ThreadedNetworkedTestsSSL."
    ];
    test_imghdr All Some(Identical), [];
    test_import OneLayer Some(THREAD), [
        "ImportTests.", "RelativeImportTests.test_parentless_import_shadowed_by_global",
        "ImportTracebackTests.test_unencodable_filename"
    ];
    test_inspect All Some(Identical), [];
    test_int OneLayer Some(Identical), [];
    test_io OneLayer None, [
        "test_optional_abilities", "test_slow_close_from_thread", "TextIOWrapperTest.", "SignalsTest.",
        "MiscIOTest."
    ];
    test_ipaddress All Some(Identical), [];
    test_iter All Some(Identical), [];
    test_itertools All Some(THREAD), ["TestBasicOps.test_tee_concurrent"];
    test_json Always Some(Identical), [];
    test_linecache All Some(Identical), [];
    test_list OneLayer Some(Identical), [];
    test_locale All Some(Identical), [];
    test_logging All Some(THREAD), [];
    test_long OneLayer Some(Identical), [];
    test_lzma All Some(Identical), [];
    test_mailbox All Some(Identical), [];
    test_marshal OneLayer Some(Identical), [];
    test_math OneLayer Some(Identical), [];
    test_memoryio OneLayer Some(Identical), [];
    test_memoryview OneLayer Some(Identical), [];
    test_mimetypes All Some(Identical), [];
    test_minidom All Some(Identical), [];
    test_mmap OneLayer None, [
        "LargeMmapTests.", "test_access_parameter", "test_basic", "test_entire_file", "test_find_end",
        "test_io_methods", "test_move", "test_offset", "test_repr", "test_rfind", "test_tougher_find"
    ];
    test_multibytecodec All Some(Identical), [];
    test_netrc All Some(Identical), [];
    test_nis All Some(Identical), [];
    test_ntpath All Some(Identical), [];
    test_numeric_tower All Some(Identical), [];
    test_openpty OneLayer Some(TERMINAL), [];
    test_operator All Some(Identical), [];
    test_optparse All Some(Identical), [];
    test_ordered_dict OneLayer Some(Identical), [];
    test_os OneLayer Some(THREAD), [
        "TestSendfile.", "PosixUidGidTests.", "EnvironTests.", "PidTests.", "TermsizeTests.test_stty_match",
        "SpawnTests.", "ForkTests.", "FDInheritanceTests.test_openpty", "MemfdCreateTests.",
        "URandomTests.test_urandom_subprocess", "TestInvalidFD.test_tcsetpgrpt"
    ];
    test_pathlib OneLayer Some(Identical), [];
    test_patma All Some(Identical), [];
    test_pickle All Some(THREAD), [
        "CUnpicklerTests.test_unpickle_module_race", "InMemoryPickleTests.test_unpickle_module_race",
        "PyUnpicklerTests.test_unpickle_module_race"
    ];
    test_pickletools All Some(Identical), [];
    test_pkgutil All Some(Identical), [];
    test_plistlib All Some(Identical), [];
    test_poll All Some(THREAD), [];
    test_poplib All Some(THREAD), [];
    test_posix Always Some(refused(1, "refused sched_setscheduler", "it asks for another scheduler: refused, ENOSYS")), ["PosixTester.test_sched", "PosixTester.test_get_and_set_scheduler"];
    test_posixpath All Some(Identical), [];
    test_pow All Some(Identical), [];
    test_pprint All Some(Identical), [];
    test_property All Some(Identical), [];
    test_pty OneLayer Some(TERMINAL), [];
    test_pwd OneLayer Some(Identical), [];
    test_pyexpat OneLayer Some(Identical), [];
    test_queue All Some(THREAD), [];
    test_quopri All Some(Identical), [];
    test_random All Some(Identical), [];
    test_range All Some(Identical), [];
    test_re Always Some(Identical), [];
    test_readline OneLayer Some(TERMINAL), ["TestReadline."];
    test_reprlib All Some(Identical), [];
    test_resource OneLayer Some(Identical), [];
    test_robotparser All Some(THREAD), [];
    test_runpy All Some(Identical), [];
    test_sched All Some(THREAD), ["TestCase.test_cancel_concurrent", "TestCase.test_enter_concurrent"];
    test_secrets All Some(Identical), [];
    test_select Always Some(Identical), [];
    test_selectors OneLayer Some(Identical), [];
    test_set All Some(Identical), [];
    test_shelve All Some(Identical), [];
    test_shlex All Some(Identical), [];
    test_shutil All Some(refused(1, "refused listxattr", "it lists extended attributes: refused, ENOSYS")), ["TestCopyTree.", "TestArchives.", "TestCopy.", "TestMove."];
    test_signal OneLayer None, [
        "ItimerTest.test_itimer_virtual", "StressTest.test_stress_modifying_handlers", "SiginterruptTest.",
        "WakeupSocketSignalTests.", "PendingSignalsTests.", "WakeupSignalTests.",
        "PosixTests.test_keyboard_interrupt_exit_code", "PosixTests.test_interprocess_signal"
    ];
    test_site All Some(Identical), [];
    test_slice All Some(Identical), [];
    test_smtplib All Some(THREAD), [
        "DebuggingServerTests.", "SMTPAUTHInitialResponseSimTests.testAUTH_PLAIN_initial_response_auth",
        "SMTPAUTHInitialResponseSimTests.testAUTH_PLAIN_initial_response_login", "SMTPSimTests.",
        "SMTPUTF8SimTests.", "TooLongLineTests.testLineTooLong"
    ];
    test_sndhdr All Some(Identical), [];
    test_sort All Some(Identical), [];
    test_ssl OneLayer None, [
        "BasicSocketTests.test_read_write_zero", "SimpleBackgroundTests.", "TestPostHandshakeAuth.",
        "TestPreHandshakeClose.", "TestSSLDebug.", "ThreadedTests."
    ];
    test_stat OneLayer Some(Identical), [];
    test_statistics All Some(Identical), [];
    test_strftime OneLayer Some(Identical), [];
    test_string OneLayer Some(Identical), [];
    test_stringprep All Some(Identical), [];
    test_strptime OneLayer Some(Identical), [];
    test_strtod All Some(Identical), [];
    test_struct Always Some(Identical), [];
    test_super All Some(Identical), [];
    test_sys OneLayer Some(THREAD), ["SysModuleTest.", "SizeofTest.test_changing_sys_stderr_and_removing_reference"];
    test_sys_settrace All Some(Identical), [];
    test_sysconfig All Some(Identical), [];
    test_syslog All Some(THREAD), ["Test.test_syslog_threaded"];
    test_tarfile All Some(Identical), [];
    test_telnetlib All Some(THREAD), [];
    test_tempfile OneLayer Some(Identical), [];
    test_textwrap All Some(Identical), [];
    test_time OneLayer Some(CLOCK), ["TimeTestCase.test_monotonic_settime", "TimeTestCase.test_clock_settime"];
    test_timeit OneLayer Some(Identical), [];
    test_tokenize All Some(Identical), [];
    test_traceback All Some(Identical), [];
    test_tuple All Some(Identical), [];
    test_types All Some(Identical), [];
    test_typing All Some(Identical), [];
    test_ucn All Some(Identical), [];
    test_unicode All Some(Identical), [];
    test_unicodedata All Some(Identical), [];
    test_unpack All Some(Identical), [];
    test_unparse All Some(Identical), [];
    test_urllib All Some(Identical), [];
    test_urllib2 All Some(Identical), [];
    test_urlparse All Some(Identical), [];
    test_userdict All Some(Identical), [];
    test_uu All Some(Identical), [];
    test_uuid OneLayer Some(Identical), [];
    test_warnings OneLayer Some(Identical), [];
    test_wave All Some(Identical), [];
    test_weakref All Some(THREAD), ["MappingTestCase.", "FinalizeTestCase.test_atexit"];
    test_with All Some(Identical), [];
    test_wsgiref All Some(THREAD), ["IntegrationTests.test_interrupted_write"];
    test_xml_etree_c All Some(Identical), [];
    test_zipapp All Some(Identical), [];
    test_zipfile All Some(Identical), [];
    test_zipimport All Some(Identical), [];
    test_zlib OneLayer Some(Identical), [];
    test_zoneinfo OneLayer Some(Identical), [];
}

/// The programs of the table: of each module the whole, and what is left of it without some tests.
pub(super) fn programs() -> impl Iterator<Item = Program> {
    MODULES.iter().flat_map(Module::programs)
}

impl Module {
    fn programs(&self) -> impl Iterator<Item = Program> {
        let whole = self.whole.map(|expected| self.program(expected, &[]));
        let part = (!self.left_out.is_empty()).then(|| self.program(Expected::Identical, self.left_out));
        whole.into_iter().chain(part)
    }

    fn program(&self, expected: Expected, left_out: &[&str]) -> Program {
        let module = match self.name.strip_prefix("asyncio_") {
            Some(name) => format!("test_asyncio.test_{name}"),
            None => self.name.to_owned(),
        };
        let without: Vec<String> = left_out.iter().map(|part| format!("`{}`", part.trim_end_matches('.'))).collect();
        let without = without.join(", ");
        let name = if left_out.is_empty() { format!("`{module}`") } else { format!("`{module}` without {without}") };
        let words = ["/usr/bin/python3", "{programs}/module.py", &module];
        let words = words.iter().chain(left_out).map(|&word| word.to_owned()).collect();
        Program { name, steps: vec![words], expected, when: self.when }
    }
}

fn module(name: &str) {
    let module = MODULES.iter().find(|module| module.name == name).expect("the test was made from the table");
    for program in module.programs() {
        super::conforms(&program);
    }
}
