-- page: sys.dm_exec_sessions; sys.dm_tran_locks; sys.dm_tran_session_transactions; sys.dm_db_index_usage_stats; sys.dm_os_waiting_tasks; sys.dm_os_schedulers; @@PACK_RECEIVED
-- https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-exec-sessions-transact-sql
-- https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-tran-locks-transact-sql
-- https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-db-index-usage-stats-transact-sql
-- https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-os-waiting-tasks-transact-sql
-- https://learn.microsoft.com/sql/relational-databases/system-dynamic-management-views/sys-dm-os-schedulers-transact-sql

CREATE TABLE dbo.M (ID int NOT NULL PRIMARY KEY, V int NOT NULL);
INSERT INTO dbo.M VALUES (1, 1), (2, 2);
SELECT user_updates FROM sys.dm_db_index_usage_stats WHERE database_id = DB_ID() AND object_id = OBJECT_ID('dbo.M');
--> user_updates
--> 1
GO
SELECT V FROM dbo.M WHERE ID = 1;
SELECT COUNT(*) AS n FROM dbo.M;
SELECT user_seeks, user_scans FROM sys.dm_db_index_usage_stats WHERE database_id = DB_ID() AND object_id = OBJECT_ID('dbo.M') AND index_id = 1;
--> V
--> 1
-->
--> n
--> 2
-->
--> user_seeks | user_scans
--> 1 | 1
GO
BEGIN TRANSACTION;
UPDATE dbo.M SET V = 5 WHERE ID = 1;
SELECT resource_type, request_mode, request_status FROM sys.dm_tran_locks WHERE request_session_id = @@SPID AND resource_associated_entity_id <> 0 AND request_mode = 'X';
SELECT is_user_transaction AS user_, open_transaction_count AS n FROM sys.dm_tran_session_transactions WHERE session_id = @@SPID;
--> resource_type | request_mode | request_status
--> KEY | X | GRANT
-->
--> user_ | n
--> 1 | 1
GO
-- session 2, without waiting
SELECT V FROM dbo.M WHERE ID = 1;
--> V
--> 5
GO
WHILE NOT EXISTS (SELECT * FROM sys.dm_os_waiting_tasks WHERE wait_type = 'LCK_M_S' AND blocking_session_id = @@SPID) WAITFOR DELAY '00:00:00.020';
SELECT r.status, r.wait_type FROM sys.dm_exec_requests AS r WHERE r.blocking_session_id = @@SPID;
COMMIT;
--> status | wait_type
--> suspended | LCK_M_S
GO
SELECT transaction_isolation_level AS level_, is_user_process AS user_, CASE WHEN login_name = SUSER_SNAME() THEN 1 ELSE 0 END AS same FROM sys.dm_exec_sessions WHERE session_id = @@SPID;
--> level_ | user_ | same
--> 2 | 1 | 1
GO
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;
SET LOCK_TIMEOUT 1500;
SELECT transaction_isolation_level AS level_, lock_timeout AS timeout FROM sys.dm_exec_sessions WHERE session_id = @@SPID;
--> level_ | timeout
--> 4 | 1500
GO
SELECT CASE WHEN COUNT(*) > 0 AND COUNT(*) = COUNT(DISTINCT scheduler_id) THEN 1 ELSE 0 END AS some_, MIN(CAST(is_online AS int)) AS online_, CASE WHEN MIN(runnable_tasks_count) >= 0 AND SUM(current_tasks_count) > 0 THEN 1 ELSE 0 END AS tasks FROM sys.dm_os_schedulers WHERE status = N'VISIBLE ONLINE';
--> some_ | online_ | tasks
--> 1 | 1 | 1
GO
CREATE TABLE #Packets (Received int NOT NULL);
INSERT INTO #Packets VALUES (@@PACK_RECEIVED);
GO
SELECT @@PACK_RECEIVED - Received AS since_ FROM #Packets;
--> since_
--> 1
GO
SELECT net_transport, auth_scheme FROM sys.dm_exec_connections WHERE session_id = @@SPID;
--> net_transport | auth_scheme
--> TCP | SQL
GO
SELECT no_such_column FROM sys.dm_exec_sessions;
--> error 207: Invalid column name 'no_such_column'.
GO
KILL 32000;
--> error 6106: Process ID 32000 is not an active process ID.
GO
