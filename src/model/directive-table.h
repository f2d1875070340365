/* SPDX-License-Identifier: MIT */
/*
 * The table of directives: one row is one key of a blueprint. Adding a key is a row here, its
 * effect, and a test. Not a header of the usual kind: it is included with D() defined, as often as
 * something is made of the rows (an enum, an array).
 *
 * D(Section, Key, TYPE, "default", "since", "values" or NULL, FLAGS, "what it does")
 *
 * The rows of a section stand together. "" as a default is: unset. values: of an enum its words;
 * of a number its least and its greatest value; for others see the type.
 */
/* clang-format off */
#ifndef D
#define D(section, key, type, def, since, values, flags, doc)
#endif

/* ---- [Blueprint]: what it is ---- */

D(Blueprint, Description, TEXT, "", "0.1", NULL, DF_SPECIFIERS,
  "What the agent is for, one line for people and for agents that look for a helper.")
D(Blueprint, Documentation, WORDS, "", "0.1", NULL, 0,
  "Where to read more: addresses such as https://, file: or man:. For people; nothing is "
  "fetched.")
D(Blueprint, Tags, WORDS, "", "0.1", NULL, 0,
  "Words to find the blueprint by.")
D(Blueprint, Enabled, BOOL, "yes", "0.1", NULL, 0,
  "Whether sessions may be started. The API calls a blueprint with no here inactive: it is "
  "listed, and starting or resuming a session of it is refused.")
D(Blueprint, AllowOverride, ENUMS, "project_dir command", "0.1", "project_dir command none", 0,
  "What a session's own request may say in place of the blueprint: project_dir instead of "
  "WorkingDirectory=, command instead of ExecStart=.")

/* ---- [Agent]: what runs ---- */

D(Agent, Adapter, ENUM, "claude", "0.1", "claude command", 0,
  "How to talk to the program: claude (Claude Code's stream-json) or command (any program: its "
  "output lines are the events).")
D(Agent, ExecStart, COMMAND, "", "0.1", NULL, DF_SPECIFIERS,
  "Program and arguments. A program without a slash is looked up in PATH. For Adapter=claude "
  "the default is claude, and further words are put before the arguments that aod adds; for "
  "Adapter=command it is what runs when the request gives no command. Variables such as $HOME "
  "are not replaced: use specifiers.")
D(Agent, Model, TEXT, "", "0.1", NULL, DF_SPECIFIERS,
  "Name of the model; the agent's own default when unset.")
D(Agent, Prompt, TEXT, "", "0.1", NULL, DF_SPECIFIERS,
  "What a session is asked that is started without a prompt: by [Timer], or by a request that has none. With Adapter=command "
  "it is given on standard input.")
D(Agent, SystemPrompt, TEXT, "", "0.1", NULL, DF_SPECIFIERS,
  "Text appended to the agent's system prompt.")
D(Agent, SystemPromptFile, FILE, "", "0.1", NULL, DF_SPECIFIERS,
  "File with text to append to the agent's system prompt, after that of SystemPrompt=. A "
  "relative path is meant from the blueprint's directory. Specifiers in the file's text are not "
  "replaced.")
D(Agent, AllowedTools, WORDS, "", "0.1", NULL, DF_SPECIFIERS,
  "Tools that may be used without asking, such as Read or \"Bash(git log:*)\".")
D(Agent, DisallowedTools, WORDS, "", "0.1", NULL, DF_SPECIFIERS,
  "Tools that may not be used.")
D(Agent, PermissionMode, ENUM, "", "0.1",
  "acceptEdits auto bypassPermissions default dontAsk plan", 0,
  "How the agent asks before it acts; its own default when unset. What it asks is "
  "answered as AskRule=, AskTimeoutSec= and AskDefault= say.")
D(Agent, McpServer, MCP_SERVERS, "", "0.1", NULL, DF_SPECIFIERS,
  "An MCP server the agent may use: a name, then a program with its arguments, or the address "
  "of one (http:// or https://). One server for each line.")
D(Agent, McpConfigFile, FILE, "", "0.1", NULL, DF_SPECIFIERS,
  "JSON file {\"mcpServers\":{…}} with MCP servers the agent may use. Servers that neither this "
  "nor McpServer= names are not started. A relative path is meant from the blueprint's "
  "directory.")
D(Agent, Skills, WORDS, "", "0.1", NULL, DF_PLANNED,
  "Names of skills the agent is meant to have. Kept and shown to clients.")
D(Agent, MaxTurns, INT, "0", "0.1", "0 1000000", 0,
  "How many turns a run may take, by the agent's own account: calls of the model, not prompts; 0: no limit. The result is max-turns where the "
  "agent ends by itself, else budget.")
D(Agent, Environment, ENVIRONMENT, "", "0.1", NULL, DF_SPECIFIERS,
  "Variables for the agent, NAME=VALUE, quoted where a value has blanks.")
D(Agent, EnvironmentFile, FILES, "", "0.1", NULL, DF_SPECIFIERS,
  "File with lines NAME=VALUE, comments and quotes as in systemd.exec(5); they go before those "
  "of Environment=. A hyphen in front of the path: the file may be missing. Values from files "
  "are never shown.")
D(Agent, PassEnvironment, NAMES, "", "0.1", NULL, 0,
  "Names of variables that are passed on from aod's own environment where they are set, such as "
  "keys; their values are never shown.")
D(Agent, WorkingDirectory, PATH, "", "0.1", NULL, DF_SPECIFIERS,
  "Absolute path to run in when the request names none; a directory of the session's own (work in %D) when unset.")

/* ---- [Session]: how it is supervised ---- */

D(Session, Restart, ENUM, "no", "0.1",
  "no always on-success on-failure on-abnormal on-abort on-watchdog on-transient", 0,
  "After which ends the run is started again, as in systemd.service(5); on-transient: after "
  "ends that a later try may not have, such as an overloaded service. Never after a stop by a "
  "person, and never when a login or a payment is missing.")
D(Session, RestartMode, ENUM, "continue", "0.1", "continue fresh", 0,
  "Whether a restart goes on with the conversation or starts it over: with a new one, and the same prompt.")
D(Session, RestartSec, TIMESPAN, "1s", "0.1", NULL, 0,
  "How long to wait before a restart.")
D(Session, RestartSteps, INT, "0", "0.1", "0 1000", 0,
  "In how many steps the wait grows from RestartSec= to RestartMaxDelaySec=; 0: it does not "
  "grow.")
D(Session, RestartMaxDelaySec, TIMESPAN, "infinity", "0.1", NULL, 0,
  "The longest wait before a restart.")
D(Session, RestartPrompt, TEXT, "Your last turn was cut off by an error. Go on with your task.", "0.1", NULL, DF_SPECIFIERS,
  "What the agent is told at a restart where its turn had come to an end, such as by an overloaded service; where it had not, it is given "
  "the same prompt again, which it knows by its uuid.")
D(Session, SuccessExitStatus, STATUSES, "", "0.1", NULL, 0,
  "Further ends that count as success: exit codes, signals such as SIGTERM, or results such as "
  "max-turns. Codes and signals are looked at where the result is exit-code, signal or core-dump.")
D(Session, RestartPreventExitStatus, STATUSES, "", "0.1", NULL, 0,
  "Ends after which there is no restart, whatever Restart= says.")
D(Session, RestartForceExitStatus, STATUSES, "", "0.1", NULL, 0,
  "Ends after which there is a restart, whatever Restart= says.")
D(Session, StartLimitIntervalSec, TIMESPAN, "10min", "0.1", NULL, 0,
  "The time in which StartLimitBurst= restarts are allowed; 0: no limit.")
D(Session, StartLimitBurst, INT, "5", "0.1", "0 1000000", 0,
  "How many restarts are allowed within StartLimitIntervalSec=; one more ends with the result "
  "start-limit-hit. 0: no limit.")
D(Session, TimeoutStartSec, TIMESPAN, "infinity", "0.1", NULL, 0,
  "How long the agent gets until its first message, or a command until its first line. The result "
  "is timeout.")
D(Session, TimeoutStopSec, TIMESPAN, "10s", "0.1", NULL, 0,
  "How long a stopped run gets until SIGKILL; infinity: for ever. An agent that can be interrupted "
  "is asked to end its turn first, then sent SIGINT, then SIGTERM, half a second apart at most; "
  "others get SIGTERM at once.")
D(Session, ResultGraceSec, TIMESPAN, "10s", "0.1", NULL, 0,
  "How long the program gets to end after its answer; then it is stopped, and the answer "
  "counts.")
D(Session, RuntimeMaxSec, TIMESPAN, "infinity", "0.1", NULL, 0,
  "How long a run may take; the time it is frozen does not count. The result is timeout.")
D(Session, WatchdogSec, TIMESPAN, "0", "0.1", NULL, 0,
  "How long nothing may be heard of an agent that is at work, nor its processes be seen at work (by "
  "processor time, input and output of its control group); 0: for ever. The result is watchdog.")
D(Session, ToolTimeoutSec, TIMESPAN, "infinity", "0.1", NULL, 0,
  "How long one use of a tool may take; the run ends then with the result stalled.")
D(Session, MaxTokens, INT, "0", "0.1", "0 1000000000000", 0,
  "How many tokens a run may use, in and out, by the agent's own account, to which those read from a cache do not belong; 0: no limit. There "
  "is an event at 80 per cent of a budget and one when it is used up. The result is budget; what was answered by then stays a success.")
D(Session, MaxCostUSD, FLOAT, "0", "0.1", "0 1000000", 0,
  "What a run may cost, in US dollars by the agent's own account; 0: no limit. The result is budget.")
D(Session, SessionMaxTurns, INT, "0", "0.1", "0 1000000", 0,
  "How many turns all runs of the session may use; 0: no limit. Nothing is started when it is used up.")
D(Session, SessionMaxTokens, INT, "0", "0.1", "0 1000000000000", 0,
  "How many tokens all runs of the session may use; 0: no limit. Nothing is started when it is used up.")
D(Session, SessionMaxCostUSD, FLOAT, "0", "0.1", "0 1000000", 0,
  "How many US dollars all runs of the session may use; 0: no limit. Nothing is started when it is used up.")
D(Session, DailyMaxTurns, INT, "0", "0.1", "0 1000000", 0,
  "How many turns all sessions of the blueprint on one day, local time, may use; 0: no limit. Nothing is started when it is used up.")
D(Session, DailyMaxTokens, INT, "0", "0.1", "0 1000000000000", 0,
  "How many tokens all sessions of the blueprint on one day, local time, may use; 0: no limit. Nothing is started when it is used up.")
D(Session, DailyMaxCostUSD, FLOAT, "0", "0.1", "0 1000000", 0,
  "How many US dollars all sessions of the blueprint on one day, local time, may use; 0: no limit. Nothing is started when it is used up.")
D(Session, TreeMaxTurns, INT, "0", "0.1", "0 1000000", 0,
  "How many turns the session, those that it started and theirs may use; 0: no limit. When it is used up nothing is started any more, and with each that runs is "
  "done what its own BudgetAction= says. What counts is what the blueprint of the tree's first session says.")
D(Session, TreeMaxTokens, INT, "0", "0.1", "0 1000000000000", 0,
  "How many tokens the session, those that it started and theirs may use; 0: no limit. When it is used up nothing is started any more, and with each that runs is "
  "done what its own BudgetAction= says. What counts is what the blueprint of the tree's first session says.")
D(Session, TreeMaxCostUSD, FLOAT, "0", "0.1", "0 1000000", 0,
  "How many US dollars the session, those that it started and theirs may use; 0: no limit. When it is used up nothing is started any more, and with each that runs is "
  "done what its own BudgetAction= says. What counts is what the blueprint of the tree's first session says.")
D(Session, BudgetAction, ENUM, "stop", "0.1", "freeze interrupt stop", 0,
  "What is done with a run when a budget is used up: freeze it until a person thaws it, interrupt its turn, or stop it.")
D(Session, Lifecycle, ENUM, "oneshot", "0.1", "oneshot persistent", 0,
  "Whether the program ends after its answer (oneshot) or stays for the next prompt (persistent): the session is idle then, and the next turn begins at once. Each "
  "turn has a result of its own, and one that fails leaves the program idle, too, unless Restart= is about such an end. RuntimeMaxSec= and the like "
  "count for each turn. A prompt that comes during a turn is queued. Of a command only that holds: its program ends as ever.")
D(Session, IdleTimeoutSec, TIMESPAN, "infinity", "0.1", NULL, 0,
  "How long the program of a persistent session stays without a prompt; then its input is closed, and it has ResultGraceSec= to end. The result is success.")
D(Session, AskRule, ASK_RULES, "", "0.1", NULL, 0,
  "What is said to an agent that asks whether it may use a tool, so that no person has to: the first rule that matches, one each line. A tool is a "
  "name, in which * stands for anything; the pattern is held against its main argument: the command of Bash, the path of Read, "
  "Write and Edit, the address of WebFetch (or its host: domain:example.org). PREFIX:* is a command with any arguments. In a rule that allows, * stands "
  "for nothing that begins a further shell command, and no path with .. matches.")
D(Session, AskTimeoutSec, TIMESPAN, "10min", "0.1", NULL, 0,
  "How long a question of the agent waits for an answer of a person; then AskDefault= is the answer. 0: at once; infinity: for ever. WatchdogSec= and "
  "ToolTimeoutSec= stand still meanwhile, RuntimeMaxSec= does not.")
D(Session, AskDefault, ENUM, "deny", "0.1", "deny allow", 0,
  "The answer to a question that nobody answers. To one that gives a choice it is always a refusal, which says that nobody answered.")
D(Session, Callback, BOOL, "no", "0.1", NULL, 0,
  "Whether a session that another one started gives its result to that one, as a prompt: when it has ended, or has answered what that one asked; see TREES.")
D(Session, StopWithParent, BOOL, "no", "0.1", NULL, 0,
  "Whether a session that another one started is stopped when that one has come to its end; see TREES.")
D(Session, QueuePriority, INT, "0", "0.1", "-1000 1000", 0,
  "Which sessions are started first when they have to wait for room: those with a greater number, then those that wait for longer. A request may "
  "say another one.")
D(Session, MaxSessions, INT, "0", "0.1", "0 1000000", 0,
  "How many sessions of this blueprint may run at once, those that are idle or frozen included; further ones wait in the queue. 0: no limit. "
  "In a slice's [Slice] section the same for all sessions of the slice, and of the slices in it.")

/* ---- [Resources]: systemd.resource-control(5), and limits as in systemd.exec(5) ---- */

D(Resources, Slice, TEXT, "", "0.1", NULL, DF_SPECIFIERS,
  "The group of sessions that this one belongs to; a group can have limits of its own.")
D(Resources, CPUWeight, WEIGHT, "", "0.1", "idle", 0,
  "Share of the processors where they are short, 1 to 10000; 100 is ordinary.")
D(Resources, CPUQuota, PERCENT, "", "0.1", NULL, 0,
  "The most processor time in per cent of one processor, such as 150%.")
D(Resources, CPUQuotaPeriodSec, TIMESPAN, "", "0.1", NULL, 0,
  "The time over which CPUQuota= is measured, 1ms to 1s.")
D(Resources, AllowedCPUs, CPUS, "", "0.1", NULL, 0,
  "The processors that may be used, such as 0-3 or 0,2.")
D(Resources, AllowedMemoryNodes, CPUS, "", "0.1", NULL, 0,
  "The memory nodes that may be used.")
D(Resources, MemoryHigh, SIZE, "", "0.1", NULL, 0,
  "Memory above which the session is slowed down.")
D(Resources, MemoryMax, SIZE, "", "0.1", NULL, 0,
  "The most memory; above it a process is killed, and the result is oom-kill.")
D(Resources, MemorySwapMax, SIZE, "", "0.1", NULL, 0,
  "The most swap space.")
D(Resources, TasksMax, COUNT, "", "0.1", NULL, 0,
  "The most processes and threads.")
D(Resources, LogSizeMax, SIZE, "", "0.1", NULL, 0,
  "How much of a run's output is kept: its lines, each counted with 100 bytes more for its event. What is over it is dropped, and "
  "the run is stopped with the result resources. An event says so at 80 per cent, too.")
D(Resources, IOWeight, WEIGHT, "", "0.1", NULL, 0,
  "Share of the disks where they are short, 1 to 10000; 100 is ordinary.")
D(Resources, IOReadBandwidthMax, BANDWIDTH, "", "0.1", NULL, 0,
  "The most bytes read in a second from the disk of a path.")
D(Resources, IOWriteBandwidthMax, BANDWIDTH, "", "0.1", NULL, 0,
  "The most bytes written in a second to the disk of a path.")
D(Resources, IOReadIOPSMax, BANDWIDTH, "", "0.1", NULL, 0,
  "The most reads in a second from the disk of a path.")
D(Resources, IOWriteIOPSMax, BANDWIDTH, "", "0.1", NULL, 0,
  "The most writes in a second to the disk of a path.")
D(Resources, OOMPolicy, ENUM, "", "0.1", "continue stop kill", 0,
  "What follows when the kernel killed a process for want of memory: nothing, the session is "
  "stopped, or all of it is killed at once.")
D(Resources, OOMScoreAdjust, INT, "", "0.1", "-1000 1000", 0,
  "How readily the kernel kills the agent for want of memory.")
D(Resources, LimitCPU, RLIMIT, "", "0.1", "time", 0,
  "Limit of processor time for a process (RLIMIT_CPU).")
D(Resources, LimitFSIZE, RLIMIT, "", "0.1", "bytes", 0,
  "Limit of the size of a file (RLIMIT_FSIZE).")
D(Resources, LimitDATA, RLIMIT, "", "0.1", "bytes", 0,
  "Limit of a process's data (RLIMIT_DATA).")
D(Resources, LimitSTACK, RLIMIT, "", "0.1", "bytes", 0,
  "Limit of a process's stack (RLIMIT_STACK).")
D(Resources, LimitCORE, RLIMIT, "", "0.1", "bytes", 0,
  "Limit of the size of a core dump (RLIMIT_CORE).")
D(Resources, LimitRSS, RLIMIT, "", "0.1", "bytes", 0,
  "Without effect in Linux (RLIMIT_RSS): use MemoryMax=.")
D(Resources, LimitNOFILE, RLIMIT, "", "0.1", "number", 0,
  "Limit of open files of a process (RLIMIT_NOFILE).")
D(Resources, LimitAS, RLIMIT, "", "0.1", "bytes", 0,
  "Limit of a process's address space (RLIMIT_AS). Programs with a JavaScript engine reserve "
  "far more than they use and fail with it: use MemoryMax=.")
D(Resources, LimitNPROC, RLIMIT, "", "0.1", "number", 0,
  "Limit of processes of a user (RLIMIT_NPROC). It counts all of the user's, so that sessions "
  "disturb each other: use TasksMax=.")
D(Resources, LimitMEMLOCK, RLIMIT, "", "0.1", "bytes", 0,
  "Limit of locked memory (RLIMIT_MEMLOCK).")
D(Resources, LimitLOCKS, RLIMIT, "", "0.1", "number", 0,
  "Limit of file locks (RLIMIT_LOCKS).")
D(Resources, LimitSIGPENDING, RLIMIT, "", "0.1", "number", 0,
  "Limit of queued signals (RLIMIT_SIGPENDING).")
D(Resources, LimitMSGQUEUE, RLIMIT, "", "0.1", "bytes", 0,
  "Limit of message queues (RLIMIT_MSGQUEUE).")
D(Resources, LimitNICE, RLIMIT, "", "0.1", "number", 0,
  "Limit of the nice level (RLIMIT_NICE), 0 to 40.")
D(Resources, LimitRTPRIO, RLIMIT, "", "0.1", "number", 0,
  "Limit of the real-time priority (RLIMIT_RTPRIO).")
D(Resources, LimitRTTIME, RLIMIT, "", "0.1", "microseconds", 0,
  "Limit of real-time processor time (RLIMIT_RTTIME).")

/* ---- [Sandbox]: systemd.exec(5) ---- */

D(Sandbox, Sandbox, ENUM, "", "0.1", "strict workspace none", 0,
  "All of this section in one word: what keys are that the blueprint does not set. strict: the agent is a user of its own where aod is root, "
  "and sees of the host the system, read-only, and its project, which it may change; no homes, no other processes, nothing of aod's. workspace: it "
  "reads what its user may, and writes only to its project directory; hooks and configuration of git in it are read-only. none: it may what "
  "its user may. Unset: strict with Adapter=claude, none with Adapter=command.")
D(Sandbox, User, USER, "", "0.1", NULL, DF_SPECIFIERS,
  "The user to run as.")
D(Sandbox, Group, USER, "", "0.1", NULL, DF_SPECIFIERS,
  "The group to run as; the user's own when unset.")
D(Sandbox, DynamicUser, BOOL, "", "0.1", NULL, 0,
  "Run as a user that exists for this session only.")
D(Sandbox, NoNewPrivileges, BOOL, "", "0.1", NULL, 0,
  "No program can gain privileges, for instance by set-user-ID.")
D(Sandbox, CapabilityBoundingSet, CAPABILITIES, "", "0.1", NULL, 0,
  "The capabilities that can be had at all; ~ in front: all but these; none: none.")
D(Sandbox, AmbientCapabilities, CAPABILITIES, "", "0.1", NULL, 0,
  "The capabilities that the agent gets.")
D(Sandbox, PrivateTmp, BOOL, "", "0.1", NULL, 0,
  "A /tmp and /var/tmp of the session's own.")
D(Sandbox, PrivateTmpSize, SIZE, "", "0.1", NULL, 0,
  "The private /tmp is in memory and no greater than this; it is empty at the start of each run. When unset "
  "it is on disk, and a session's runs share it.")
D(Sandbox, WorkspaceQuota, SIZE, "", "0.1", NULL, 0,
  "How much disk the session's own directory (its work, home and /tmp) may take; above it the "
  "session is stopped with the result resources.")
D(Sandbox, PrivateDevices, BOOL, "", "0.1", NULL, 0,
  "A /dev with pseudo devices such as /dev/null only.")
D(Sandbox, PrivateNetwork, BOOL, "", "0.1", NULL, 0,
  "A network of the session's own, with nothing but a loopback device; also in /sys, where of all that is mounted below it only "
  "/sys/fs/cgroup is left.")
D(Sandbox, PrivatePIDs, BOOL, "", "0.1", NULL, 0,
  "No other processes are seen, and all of the session's end with its first.")
D(Sandbox, PrivateUsers, BOOL, "", "0.1", NULL, 0,
  "A user namespace of the session's own.")
D(Sandbox, PrivateIPC, BOOL, "", "0.1", NULL, 0,
  "System V IPC and POSIX message queues of the session's own.")
D(Sandbox, ProtectSystem, ENUM, "", "0.1", "no yes full strict", 0,
  "Makes /usr and /boot read-only; full: /etc as well; strict: everything but what is named.")
D(Sandbox, ProtectHome, ENUM, "", "0.1", "no yes read-only tmpfs", 0,
  "Hides /home, /root, /run/user and wherever else the user has its home, or makes them read-only.")
D(Sandbox, ProtectKernelTunables, BOOL, "", "0.1", NULL, 0,
  "Makes the kernel's variables in /proc and /sys read-only.")
D(Sandbox, ProtectKernelModules, BOOL, "", "0.1", NULL, 0,
  "No kernel modules can be loaded.")
D(Sandbox, ProtectKernelLogs, BOOL, "", "0.1", NULL, 0,
  "The kernel's log can be neither read nor written.")
D(Sandbox, ProtectControlGroups, BOOL, "", "0.1", NULL, 0,
  "Makes /sys/fs/cgroup read-only.")
D(Sandbox, ProtectProc, ENUM, "", "0.1", "noaccess invisible ptraceable default", 0,
  "Which other processes are seen in /proc.")
D(Sandbox, ProcSubset, ENUM, "", "0.1", "all pid", 0,
  "Whether /proc has more than processes.")
D(Sandbox, ProtectHostname, BOOL, "", "0.1", NULL, 0,
  "The host's name cannot be changed.")
D(Sandbox, ProtectClock, BOOL, "", "0.1", NULL, 0,
  "The clock cannot be set.")
D(Sandbox, ReadOnlyPaths, PATHS, "", "0.1", NULL, DF_SPECIFIERS,
  "Paths that can only be read. A hyphen in front: it may be missing.")
D(Sandbox, ReadWritePaths, PATHS, "", "0.1", NULL, DF_SPECIFIERS,
  "Paths that can be written where all around is read-only.")
D(Sandbox, InaccessiblePaths, PATHS, "", "0.1", NULL, DF_SPECIFIERS,
  "Paths that are not there for the agent.")
D(Sandbox, BindPaths, BINDS, "", "0.1", NULL, DF_SPECIFIERS,
  "Paths shown at another place, SOURCE:DESTINATION[:OPTIONS].")
D(Sandbox, BindReadOnlyPaths, BINDS, "", "0.1", NULL, DF_SPECIFIERS,
  "As BindPaths=, but read-only.")
D(Sandbox, TemporaryFileSystem, TMPFS, "", "0.1", NULL, DF_SPECIFIERS,
  "Paths with an empty file system in memory, PATH[:OPTIONS].")
D(Sandbox, RestrictNamespaces, NAMESPACES, "", "0.1", NULL, 0,
  "Namespaces that may be made: yes for none at all, or a list of those that may; ~ in front: "
  "all but these.")
D(Sandbox, RestrictAddressFamilies, FAMILIES, "", "0.1", NULL, 0,
  "Kinds of sockets that may be made, such as AF_UNIX AF_INET AF_INET6 AF_NETLINK; ~ in front: "
  "all but these; none: none.")
D(Sandbox, RestrictSUIDSGID, BOOL, "", "0.1", NULL, 0,
  "Files cannot be made set-user-ID or set-group-ID.")
D(Sandbox, RestrictRealtime, BOOL, "", "0.1", NULL, 0,
  "No real-time scheduling.")
D(Sandbox, LockPersonality, BOOL, "", "0.1", NULL, 0,
  "The execution domain cannot be changed.")
D(Sandbox, MemoryDenyWriteExecute, BOOL, "", "0.1", NULL, 0,
  "No memory can be written and executed. Most programs with a JavaScript engine do not start "
  "with it.")
D(Sandbox, SystemCallFilter, SYSCALLS, "yes", "0.1", NULL, 0,
  "yes: the basic filter, system calls that no agent needs (modules, reboot, swap, clocks, "
  "other processes' memory) fail with EPERM; no: none; or a list of system calls and @groups "
  "that are allowed, ~ in front: that are not; NAME:ERRNO says how one fails.")
D(Sandbox, SystemCallErrorNumber, ERRNO, "", "0.1", NULL, 0,
  "How a system call fails that the filter denies, such as EPERM; kill: the process is killed.")
D(Sandbox, SystemCallArchitectures, ENUMS, "", "0.1",
  "native x86 x86-64 x32 arm arm64 riscv64 ppc64-le s390x loongarch64", 0,
  "The architectures whose system calls are allowed.")
D(Sandbox, SystemCallLog, SYSCALLS, "", "0.1", NULL, 0,
  "System calls that are written to the kernel's log.")
D(Sandbox, UMask, MODE, "", "0.1", NULL, 0,
  "The file mode creation mask, in octal.")
D(Sandbox, Nice, INT, "", "0.1", "-20 19", 0,
  "The nice level.")
D(Sandbox, LoadCredential, CREDENTIALS, "", "0.1", NULL, DF_SPECIFIERS,
  "A secret from a file, ID:PATH, which the agent finds in $CREDENTIALS_DIRECTORY.")
D(Sandbox, SetCredential, CREDENTIALS, "", "0.1", "text", DF_SPECIFIERS,
  "A value for $CREDENTIALS_DIRECTORY, ID:TEXT. Whoever may read the blueprint reads it: for "
  "secrets use LoadCredential=.")

/* ---- [Timer]: systemd.timer(5) ---- */

D(Timer, OnCalendar, CALENDAR, "", "0.1", NULL, 0,
  "When a session is started, as in systemd.time(7): daily, Mon..Fri 08:00. May be given more "
  "than once. A session that was started by the timer and is still live is not joined by a "
  "second one: that time is skipped, and an event of the session says so.")
D(Timer, OnBootSec, TIMESPAN, "", "0.1", NULL, 0,
  "How long after the host's boot a session is started, once for each boot; at once when that "
  "time has passed and the blueprint is new.")
D(Timer, OnUnitActiveSec, TIMESPAN, "", "0.1", NULL, 0,
  "How long after the timer last came due, for whatever reason, a session is started. It needs another "
  "key for the first time; a restart of aod does not begin it anew. The least is one second.")
D(Timer, RandomizedDelaySec, TIMESPAN, "0", "0.1", NULL, 0,
  "Up to how much later, at random, the start is. The delay is chosen once for each time that "
  "is due, and kept when aod is restarted.")
D(Timer, Persistent, BOOL, "no", "0.1", NULL, 0,
  "Whether a time of OnCalendar= that was missed while aod was down or the blueprint disabled is made up "
  "for: by one session, however many times it were.")

#undef D
