//! Errors in SQL Server's numbers, classes, states and words, and how far each one reaches.
//!
//! Invariant `words-are-theirs`: a text here is the one in `sys.messages`, with its arguments filled in.
//! Facts: "Database Engine errors" (per number), "TRY...CATCH", "SET XACT_ABORT" (reach).

#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use crate::types::SqlMessage;

/// What an error ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The statement; the batch goes on.
    Statement,
    /// The batch; an open transaction stays.
    Batch,
    /// The batch, and the transaction is rolled back.
    Transaction,
}

/// An error on its way to the client or to a CATCH block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{number}: {text}")]
pub struct SqlError {
    pub number: u32,
    pub class: u8,
    pub state: u8,
    pub text: String,
    /// 0 until the statement at fault is known.
    pub line: u32,
    pub procedure: String,
    pub reach: Reach,
    /// The client has it already.
    pub reported: bool,
    /// A name that was resolved only when the statement ran: no CATCH block of the same scope handles it.
    pub deferred: bool,
}

pub type Result<T, E = SqlError> = std::result::Result<T, E>;

impl SqlError {
    pub fn new(number: u32, class: u8, state: u8, text: impl Into<String>) -> Self {
        let reach = match number {
            1205 | 3960 | 245 | 241 | 242 | 295 | 8114 | 8169 | 9420 | 235 | 3998 => Reach::Transaction,
            208 | 207 | 4104 | 209 | 137 | 911 | 916 | 102 | 156 | 105 | 319 | 3621 => Reach::Batch,
            _ => Reach::Statement,
        };
        Self {
            number,
            class,
            state,
            text: text.into(),
            line: 0,
            procedure: String::new(),
            reach,
            reported: false,
            deferred: false,
        }
    }

    pub fn at(mut self, line: u32) -> Self {
        if self.line == 0 {
            self.line = line;
        }
        self
    }

    pub fn reaching(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// Whether it meets a statement under way, so that 3621 says that the statement is undone.
    pub fn terminates(&self) -> bool {
        self.reach == Reach::Statement
            && matches!(
                self.number,
                220 | 232 | 512 | 515 | 547 | 1222 | 1505 | 2601 | 2627 | 2628 | 8115 | 8134 | 8152
            )
    }

    /// Whether it tells of a name that could not be resolved, or of a statement that cannot be compiled.
    pub fn is_of_names(&self) -> bool {
        matches!(self.number, 207 | 208 | 209 | 213 | 4104 | 8120 | 8121 | 8127)
    }

    pub fn message(&self) -> SqlMessage {
        SqlMessage {
            number: self.number,
            state: self.state,
            class: self.class,
            text: self.text.clone(),
            line: self.line.max(1),
            procedure: self.procedure.clone(),
        }
    }
}

/// An informational message.
pub fn info(number: u32, state: u8, text: impl Into<String>) -> SqlMessage {
    SqlMessage { number, state, class: 0, text: text.into(), line: 1, procedure: String::new() }
}

macro_rules! errors {
    ($( $(#[$doc:meta])* $name:ident($($arg:ident),*) = $number:literal, $class:literal, $state:literal, $text:literal; )*) => {
        $( $(#[$doc])* pub fn $name($($arg: impl std::fmt::Display),*) -> SqlError {
            SqlError::new($number, $class, $state, format!($text))
        } )*
    };
}

errors! {
    syntax_near(token) = 102, 15, 1, "Incorrect syntax near '{token}'.";
    syntax_keyword(token) = 156, 15, 1, "Incorrect syntax near the keyword '{token}'.";
    unclosed_quote(text) = 105, 15, 1, "Unclosed quotation mark after the character string '{text}'.";
    missing_end_comment() = 113, 15, 1, "Missing end comment mark '*/'.";
    not_compatible(permission) = 4606, 16, 1, "Granted or revoked privilege {permission} is not compatible with object.";
    containment_off() = 12824, 16, 1, "The sp_configure value 'contained database authentication' must be set to 1 in order to alter a contained database.  You may need to use RECONFIGURE to set the value_in_use.";
    not_in_style(style) = 9807, 16, 0, "The input character string does not follow style {style}, either change the input character string or use a different style.";
    with_unterminated() = 319, 15, 1, "Incorrect syntax near the keyword 'with'. If this statement is a common table expression, an xmlnamespaces clause or a change tracking context clause, the previous statement must be terminated with a semicolon.";
    no_columns_in_permission() = 1020, 15, 1, "Sub-entity lists (such as column or security expressions) cannot be specified for entity-level permissions.";
    scale_invalid(scale) = 1002, 15, 1, "Line 1: Specified scale {scale} is invalid.";
    case_all_null() = 8133, 16, 1, "At least one of the result expressions in a CASE specification must be an expression other than the NULL constant.";
    coalesce_all_null() = 4127, 16, 1, "At least one of the arguments to COALESCE must be an expression that is not the NULL constant.";
    nullif_null() = 4151, 16, 1, "The type of the first argument to NULLIF cannot be the NULL constant because the type of the first argument has to be known.";
    ties_without_order() = 1062, 15, 1, "The TOP N WITH TIES clause is not allowed without a corresponding ORDER BY clause.";
    part_not_supported(part, function, ty) = 9810, 16, 1, "The datepart {part} is not supported by date function {function} for data type {ty}.";
    cannot_drop_principal(kind, name) = 15150, 16, 1, "Cannot drop the {kind} '{name}'.";
    cannot_alter_principal(kind, name) = 15150, 16, 1, "Cannot alter the {kind} '{name}'.";
    guest_dropped() = 15539, 16, 1, "User 'guest' cannot be dropped, it can only be disabled. The user is already disabled in the current database.";
    policy_off_must_change() = 15128, 16, 1, "The CHECK_POLICY and CHECK_EXPIRATION options cannot be turned OFF when MUST_CHANGE is ON.";
    must_change_no_expiration() = 15099, 16, 1, "The MUST_CHANGE option cannot be used when CHECK_EXPIRATION is OFF.";
    no_language(name) = 15033, 16, 1, "'{name}' is not a valid official language name.";
    empty_name() = 1038, 15, 4, "An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name. For other statements, look for empty alias names. Aliases defined as \"\" or [] are not allowed. Change the alias to a valid name.";
    read_only(database) = 3906, 16, 1, "Failed to update database \"{database}\" because the database is read-only.";
    length_invalid(length) = 1001, 15, 1, "Line 1: Length or precision specification {length} is invalid.";
    size_exceeds(size, name, high) = 131, 15, 2, "The size ({size}) given to the type '{name}' exceeds the maximum allowed for any data type ({high}).";
    precision_exceeds(precision) = 2750, 16, 1, "Column or parameter #1: Specified column precision {precision} is greater than the maximum precision of 38.";
    scale_exceeds() = 192, 15, 1, "The scale must be less than or equal to the precision.";
    expected_condition(token) = 4145, 15, 1, "An expression of non-boolean type specified in a context where a condition is expected, near '{token}'.";
    must_be_first(words) = 111, 15, 1, "'{words}' must be the first statement in a query batch.";
    must_declare(name) = 137, 15, 2, "Must declare the scalar variable \"{name}\".";
    must_declare_table(name) = 1087, 15, 2, "Must declare the table variable \"{name}\".";
    declared_twice(name) = 134, 15, 2, "The variable name '{name}' has already been declared. Variable names must be unique within a query batch or stored procedure.";
    not_a_function(name) = 195, 15, 10, "'{name}' is not a recognized built-in function name.";
    not_a_set_option(name) = 195, 15, 5, "'{name}' is not a recognized SET option.";
    wrong_arity(name, count) = 174, 15, 1, "The {name} function requires {count} argument(s).";
    arity_range(name, low, high) = 189, 15, 1, "The {name} function requires {low} to {high} arguments.";
    not_a_datepart(part, function) = 155, 15, 1, "'{part}' is not a recognized {function} option.";
    not_supported(what) = 40517, 16, 1, "Keyword or statement option '{what}' is not supported in this version of SQL Server.";
    bad_type(ordinal, name) = 2715, 16, 6, "Column, parameter, or variable #{ordinal}: Cannot find data type {name}.";
    bad_type_name(name) = 243, 16, 1, "Type {name} is not a defined system type.";
    name_too_long(name) = 103, 15, 4, "The identifier that starts with '{name}' is too long. Maximum length is 128.";
    no_prefix_columns(prefix) = 107, 15, 1, "The column prefix '{prefix}' does not match with a table name or alias name used in the query.";
    order_position(n) = 108, 16, 1, "The ORDER BY position number {n} is out of range of the number of items in the select list.";
    order_distinct() = 145, 15, 1, "ORDER BY items must appear in the select list if SELECT DISTINCT is specified.";
    order_set() = 104, 16, 1, "ORDER BY items must appear in the select list if the statement contains a UNION, INTERSECT or EXCEPT operator.";
    set_arity() = 205, 16, 1, "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.";
    subquery_columns() = 116, 16, 1, "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.";
    subquery_rows() = 512, 16, 1, "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.";
    aggregate_in_where() = 147, 15, 1, "An aggregate may not appear in the WHERE clause unless it is in a subquery contained in a HAVING clause or a select list, and the column being aggregated is an outer reference.";
    nested_aggregate() = 130, 15, 1, "Cannot perform an aggregate function on an expression containing an aggregate or a subquery.";
    not_grouped(column) = 8120, 16, 1, "Column '{column}' is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause.";
    not_grouped_order(column) = 8127, 16, 1, "Column \"{column}\" is invalid in the ORDER BY clause because it is not contained in either an aggregate function or the GROUP BY clause.";
    not_grouped_having(column) = 8121, 16, 1, "Column '{column}' is invalid in the HAVING clause because it is not contained in either an aggregate function or the GROUP BY clause.";
    no_column_name(n, table) = 8155, 16, 2, "No column name was specified for column {n} of '{table}'.";
    duplicate_alias(name) = 1011, 16, 1, "The correlation name '{name}' is specified multiple times in a FROM clause.";
    duplicate_table(name) = 1013, 16, 1, "The objects \"{name}\" and \"{name}\" in the FROM clause have the same exposed names. Use correlation names to distinguish them.";
    invalid_column(name) = 207, 16, 1, "Invalid column name '{name}'.";
    ambiguous_column(name) = 209, 16, 1, "Ambiguous column name '{name}'.";
    not_bound(name) = 4104, 16, 1, "The multi-part identifier \"{name}\" could not be bound.";
    invalid_object(name) = 208, 16, 1, "Invalid object name '{name}'.";
    no_procedure(name) = 2812, 16, 62, "Could not find stored procedure '{name}'.";
    no_parameter_in(query, name) = 8178, 16, 1, "The parameterized query '{query}' expects the parameter '{name}', which was not supplied.";
    operand_clash(left, right) = 206, 16, 2, "Operand type clash: {left} is incompatible with {right}";
    incompatible_types(left, right, operator) = 402, 16, 1, "The data types {left} and {right} are incompatible in the {operator} operator.";
    invalid_operand(ty, operator) = 8117, 16, 1, "Operand data type {ty} is invalid for {operator} operator.";
    invalid_argument(ty, ordinal, function) = 8116, 16, 1, "Argument data type {ty} is invalid for argument {ordinal} of {function} function.";
    no_implicit(from, to) = 257, 16, 3, "Implicit conversion from data type {from} to {to} is not allowed. Use the CONVERT function to run this query.";
    no_explicit(from, to) = 529, 16, 2, "Explicit conversion from data type {from} to {to} is not allowed.";
    conversion_failed(from, value, to) = 245, 16, 1, "Conversion failed when converting the {from} value '{value}' to data type {to}.";
    date_conversion() = 241, 16, 1, "Conversion failed when converting date and/or time from character string.";
    smalldate_conversion() = 295, 16, 3, "Conversion failed when converting character string to smalldatetime data type.";
    date_range(from, to) = 242, 16, 3, "The conversion of a {from} data type to a {to} data type resulted in an out-of-range value.";
    guid_conversion() = 8169, 16, 2, "Conversion failed when converting from a character string to uniqueidentifier.";
    error_converting(from, to) = 8114, 16, 5, "Error converting data type {from} to {to}.";
    overflow(ty) = 8115, 16, 2, "Arithmetic overflow error converting expression to data type {ty}.";
    overflow_from(from, to) = 8115, 16, 8, "Arithmetic overflow error converting {from} to data type {to}.";
    overflow_value(ty, value) = 220, 16, 2, "Arithmetic overflow error for data type {ty}, value = {value}.";
    overflow_float(ty, value) = 232, 16, 3, "Arithmetic overflow error for type {ty}, value = {value}.";
    overflow_varchar(value) = 244, 16, 2, "The conversion of the varchar value '{value}' overflowed an INT1 column. Use a larger integer column.";
    overflow_int(value) = 248, 16, 1, "The conversion of the varchar value '{value}' overflowed an int column.";
    divide_by_zero() = 8134, 16, 1, "Divide by zero error encountered.";
    date_overflow(ty) = 517, 16, 1, "Adding a value to a '{ty}' column caused an overflow.";
    datediff_overflow() = 535, 16, 0, "The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.";
    invalid_length() = 537, 16, 3, "Invalid length parameter passed to the LEFT or SUBSTRING function.";
    invalid_right() = 536, 16, 2, "Invalid length parameter passed to the right function.";
    invalid_floating_point() = 3623, 16, 1, "An invalid floating point operation occurred.";
    truncated(table, column, value) = 2628, 16, 1, "String or binary data would be truncated in table '{table}', column '{column}'. Truncated value: '{value}'.";
    null_into(column, table, verb) = 515, 16, 2, "Cannot insert the value NULL into column '{column}', table '{table}'; column does not allow nulls. {verb} fails.";
    duplicate_key(kind, constraint, object, values) = 2627, 14, 1, "Violation of {kind} constraint '{constraint}'. Cannot insert duplicate key in object '{object}'. The duplicate key value is ({values}).";
    duplicate_index(object, index, values) = 2601, 14, 1, "Cannot insert duplicate key row in object '{object}' with unique index '{index}'. The duplicate key value is ({values}).";
    duplicate_on_create(object, index, values) = 1505, 16, 1, "The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name '{object}' and the index name '{index}'. The duplicate key value is ({values}).";
    constraint_conflict(verb, kind, constraint, database, table, column) = 547, 16, 0, "The {verb} statement conflicted with the {kind} constraint \"{constraint}\". The conflict occurred in database \"{database}\", table \"{table}\"{column}.";
    identity_insert_off(table) = 544, 16, 1, "Cannot insert explicit value for identity column in table '{table}' when IDENTITY_INSERT is set to OFF.";
    identity_insert_list(table) = 8101, 16, 1, "An explicit value for the identity column in table '{table}' can only be specified when a column list is used and IDENTITY_INSERT is ON.";
    identity_insert_needed(table) = 545, 16, 1, "Explicit value must be specified for identity column in table '{table}' either when IDENTITY_INSERT is set to ON or when a replication user is inserting into a NOT FOR REPLICATION identity column.";
    identity_insert_busy(held, table) = 8107, 16, 1, "IDENTITY_INSERT is already ON for table '{held}'. Cannot perform SET operation for table '{table}'.";
    no_identity(table) = 8106, 16, 1, "Table '{table}' does not have the identity property. Cannot perform SET operation.";
    update_identity(column) = 8102, 16, 1, "Cannot update identity column '{column}'.";
    insert_timestamp() = 273, 16, 1, "Cannot insert an explicit value into a timestamp column. Use INSERT with a column list to exclude the timestamp column, or insert a DEFAULT into the timestamp column.";
    update_timestamp() = 272, 16, 1, "Cannot update a timestamp column.";
    computed_column(column) = 271, 16, 1, "The column \"{column}\" cannot be modified because it is either a computed column or is the result of a UNION operator.";
    more_columns() = 109, 15, 1, "There are more columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.";
    fewer_columns() = 110, 15, 1, "There are fewer columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.";
    insert_select_fewer() = 120, 15, 1, "The select list for the INSERT statement contains fewer items than the insert list. The number of SELECT values must match the number of INSERT columns.";
    insert_select_more() = 121, 15, 1, "The select list for the INSERT statement contains more items than the insert list. The number of SELECT values must match the number of INSERT columns.";
    insert_arity() = 213, 16, 1, "Column name or number of supplied values does not match table definition.";
    column_twice(column) = 264, 16, 1, "The column name '{column}' is specified more than once in the SET clause or column list of an INSERT. A column cannot be assigned more than one value in the same clause. Modify the clause to make sure that a column is updated only once. If this statement updates or inserts columns into a view, column aliasing can conceal the duplication in your code.";
    truncate_referenced(table) = 4712, 16, 1, "Cannot truncate table '{table}' because it is being referenced by a FOREIGN KEY constraint.";
    object_exists(name) = 2714, 16, 6, "There is already an object named '{name}' in the database.";
    schema_exists(name) = 2714, 16, 6, "There is already an object named '{name}' in the database.";
    cannot_drop(kind, name) = 3701, 11, 5, "Cannot drop the {kind} '{name}', because it does not exist or you do not have permission.";
    drop_referenced(table) = 3726, 16, 1, "Could not drop object '{table}' because it is referenced by a FOREIGN KEY constraint.";
    drop_schema_used(schema, object) = 3729, 16, 1, "Cannot drop schema '{schema}' because it is being referenced by object '{object}'.";
    index_exists(name, table) = 1913, 16, 1, "The operation failed because an index or statistics with name '{name}' already exists on table '{table}'.";
    no_such_index_table(table) = 1088, 16, 12, "Cannot find the object \"{table}\" because it does not exist or you do not have permissions.";
    cannot_find_object(name) = 4902, 16, 1, "Cannot find the object \"{name}\" because it does not exist or you do not have permissions.";
    index_column(column) = 1911, 16, 1, "Column name '{column}' does not exist in the target table or view.";
    index_type(column, table) = 1919, 16, 1, "Column '{column}' in table '{table}' is of a type that is invalid for use as a key column in an index.";
    clustered_exists(table, name) = 1902, 16, 3, "Cannot create more than one clustered index on table '{table}'. Drop the existing clustered index '{name}' before creating another.";
    primary_exists(table) = 1779, 16, 0, "Table '{table}' already has a primary key defined on it.";
    primary_nullable(table) = 8111, 16, 1, "Cannot define PRIMARY KEY constraint on nullable column in table '{table}'.";
    two_timestamps(table, column) = 2738, 16, 2, "A table can only have one timestamp column. Because table '{table}' already has one, the column '{column}' cannot be added.";
    two_identities(table) = 2744, 16, 2, "Multiple identity columns specified for table '{table}'. Only one identity column per table is allowed.";
    bad_identity(column) = 2749, 16, 2, "Identity column '{column}' must be of data type int, bigint, smallint, tinyint, or decimal or numeric with a scale of 0, unencrypted, and constrained to be nonnullable.";
    column_names_unique(column, table) = 2705, 16, 3, "Column names in each table must be unique. Column name '{column}' in table '{table}' is specified more than once.";
    no_reference_key(table, constraint) = 1776, 16, 0, "There are no primary or candidate keys in the referenced table '{table}' that match the referencing column list in the foreign key '{constraint}'.";
    bad_reference_table(constraint, table) = 1767, 16, 0, "Foreign key '{constraint}' references invalid table '{table}'.";
    bad_reference_column(column, constraint) = 1769, 16, 1, "Foreign key '{constraint}' references invalid column '{column}' in referencing table.";
    add_not_null(column, table) = 4901, 16, 1, "ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition specified, or the column being added is an identity or timestamp column, or alternatively if none of the previous conditions are satisfied the table must be empty to allow addition of this column. Column '{column}' cannot be added to non-empty table '{table}' because it does not satisfy these conditions.";
    drop_missing_column(column, table) = 4924, 16, 1, "ALTER TABLE DROP COLUMN failed because column '{column}' does not exist in table '{table}'.";
    alter_missing_column(column, table) = 4924, 16, 1, "ALTER TABLE ALTER COLUMN failed because column '{column}' does not exist in table '{table}'.";
    column_in_use(kind, name, column) = 5074, 16, 1, "The {kind} '{name}' is dependent on column '{column}'.";
    not_a_constraint(name) = 3728, 16, 1, "'{name}' is not a constraint.";
    view_not_updatable(view) = 4406, 16, 1, "Update or insert of view or function '{view}' failed because it contains a derived or constant field.";
    database_exists(name) = 1801, 16, 3, "Database '{name}' already exists. Choose a different database name.";
    backup_terminated() = 3013, 16, 1, "BACKUP DATABASE is terminating abnormally.";
    backup_in_transaction() = 3021, 16, 0, "Cannot perform a backup or restore operation within a transaction.";
    backup_of_tempdb() = 3147, 16, 3, "Backup and restore operations are not allowed on database tempdb.";
    no_database(name) = 911, 16, 1, "Database '{name}' does not exist. Make sure that the name is entered correctly.";
    cannot_open_database(name) = 4060, 11, 1, "Cannot open database \"{name}\" requested by the login. The login failed.";
    login_failed(name) = 18456, 14, 1, "Login failed for user '{name}'.";
    no_database_access(login, database) = 916, 14, 2, "The server principal \"{login}\" is not able to access the database \"{database}\" under the current security context.";
    denied_object(permission, object, database, schema) = 229, 14, 5, "The {permission} permission was denied on the object '{object}', database '{database}', schema '{schema}'.";
    denied_column(permission, column, object, database, schema) = 230, 14, 1, "The {permission} permission was denied on the column '{column}' of the object '{object}', database '{database}', schema '{schema}'.";
    denied_statement(permission, database) = 262, 14, 1, "{permission} permission denied in database '{database}'.";
    denied_server_permission(permission, object) = 300, 14, 1, "{permission} permission was denied on object '{object}', database 'master'.";
    denied_action() = 15247, 16, 1, "User does not have permission to perform this action.";
    user_exists(name) = 15023, 16, 1, "User, group, or role '{name}' already exists in the current database.";
    login_exists(name) = 15025, 16, 1, "The server principal '{name}' already exists.";
    login_has_user() = 15063, 16, 1, "The login already has an account under a different user name.";
    not_a_login(name) = 15007, 16, 1, "'{name}' is not a valid login or you do not have permission.";
    principal_missing(verb, kind, name) = 15151, 16, 1, "Cannot {verb} the {kind} '{name}', because it does not exist or you do not have permission.";
    grant_self() = 15370, 16, 1, "Cannot grant, deny, or revoke permissions to sa, dbo, entity owner, information_schema, sys, or yourself.";
    special_principal(name) = 15405, 16, 1, "Cannot use the special principal '{name}'.";
    owns_schema() = 15138, 16, 1, "The database principal owns a schema in the database, and cannot be dropped.";
    role_has_members() = 15144, 16, 1, "The role has members. It must be empty before it can be dropped.";
    owner_is_user() = 15110, 16, 1, "The proposed new database owner is already a user or aliased in the database.";
    cannot_remap() = 33016, 16, 1, "The user cannot be remapped to a login. Remapping can only be done for users that were mapped to Windows or SQL logins.";
    login_owns() = 15174, 16, 1, "Login owns one or more database(s). Change the owner of the database(s) before dropping the login.";
    login_connected(name) = 15434, 16, 1, "Could not drop login '{name}' as the user is currently logged in.";
    sid_in_use() = 15433, 16, 1, "Supplied parameter sid is in use.";
    database_missing_default(name) = 15010, 16, 1, "The database '{name}' does not exist. Supply a valid database name. To see available databases, use sys.databases.";
    password_policy_short() = 15116, 16, 1, "Password validation failed. The password does not meet Windows policy requirements because it is too short.";
    password_policy() = 15118, 16, 1, "Password validation failed. The password does not meet the operating system policy requirements because it is not complex enough.";
    begin_missing_commit() = 3902, 16, 1, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.";
    begin_missing_rollback() = 3903, 16, 1, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.";
    no_savepoint(name) = 6401, 16, 1, "Cannot roll back {name}. No transaction or savepoint of that name was found.";
    bad_transaction_name() = 3914, 16, 1, "The data type \"int\" is invalid for transaction names or savepoint names. Allowed data types are char, varchar, nchar, varchar(max), nvarchar, and nvarchar(max).";
    no_transaction_save() = 628, 16, 0, "Cannot issue SAVE TRANSACTION when there is no active transaction.";
    doomed() = 3930, 16, 1, "The current transaction cannot be committed and cannot support operations that write to the log file. Roll back the transaction.";
    doomed_at_end() = 3998, 16, 1, "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.";
    deadlock(spid) = 1205, 13, 51, "Transaction (Process ID {spid}) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.";
    log_full(database, reason) = 9002, 17, 4, "The transaction log for database '{database}' is full due to '{reason}'.";
    database_in_use(name) = 5061, 16, 1, "ALTER DATABASE failed because a lock could not be placed on database '{name}'. Try again later.";
    single_user_busy(name) = 5064, 16, 1, "Changes to the state or options of database '{name}' cannot be made at this time. The database is in single-user mode, and a user is currently connected to it.";
    option_not_for(name, option) = 5058, 16, 1, "Option '{option}' cannot be set in database '{name}'.";
    already_single(name) = 924, 14, 1, "Database '{name}' is already open and can only have one user at a time.";
    restricted(name) = 923, 14, 1, "Database '{name}' is in restricted mode. Only the database owner and members of the dbcreator and sysadmin roles can access it.";
    cannot_open_default() = 4064, 11, 1, "Cannot open user default database. Login failed.";
    bad_context_info() = 2743, 16, 1, "The SET CONTEXT_INFO statement requires a varbinary (128) NOT NULL parameter.";
    conflicting_hints() = 1047, 15, 1, "Conflicting locking hints specified.";
    readpast_level() = 650, 16, 1, "You can only specify the READPAST lock in the READ COMMITTED or REPEATABLE READ isolation levels.";
    nolock_target() = 1065, 15, 1, "The NOLOCK and READUNCOMMITTED lock hints are not allowed for target tables of INSERT, UPDATE, DELETE or MERGE statements.";
    lock_timeout() = 1222, 16, 51, "Lock request time out period exceeded.";
    snapshot_disallowed(database) = 3952, 16, 1, "Snapshot isolation transaction failed accessing database '{database}' because snapshot isolation is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.";
    snapshot_conflict(table, database) = 3960, 16, 2, "Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to access table '{table}' directly or indirectly in database '{database}' to update, delete, or insert the row that has been modified or deleted by another transaction. Retry the transaction or change the isolation level for the update/delete statement.";
    throw_outside() = 10704, 15, 1, "To rethrow an error, a THROW statement must be used inside a CATCH block. Insert the THROW statement inside a CATCH block, or add error parameters to the THROW statement.";
    bad_fetch() = 10744, 15, 1, "The number of rows provided for a FETCH clause must be greater then zero.";
    bad_offset() = 10742, 15, 1, "The offset specified in a OFFSET clause may not be negative.";
    bad_top() = 1060, 15, 1, "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.";
    percent_range() = 1031, 15, 1, "Percent values must be between 0 and 100.";
    negative_top() = 127, 15, 1, "A TOP N or FETCH rowcount value may not be negative.";
    top_with_offset() = 10741, 15, 2, "A TOP can not be used in the same query or sub-query as a OFFSET.";
    loop_keyword(word) = 135, 15, 1, "Cannot use a {word} statement outside the scope of a WHILE statement.";
    bad_session(id) = 6106, 16, 2, "Process ID {id} is not an active process ID.";
    kill_self() = 6104, 16, 1, "Cannot use KILL to kill your own process.";
    sp_parameter(name) = 8145, 16, 1, "{name} is not a parameter for procedure sp_executesql.";
    prepared_missing(handle) = 8179, 16, 2, "Could not find prepared statement with handle {handle}.";
    hint_unknown(hint) = 321, 15, 1, "\"{hint}\" is not a recognized table hints option. If it is intended as a parameter to a table-valued function or to the CHANGETABLE function, ensure that your database compatibility mode is set to 90.";
    assign_mixed() = 141, 15, 1, "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.";
    tracking_database_off(database, table) = 1718, 16, 1, "Change tracking must be enabled on database '{database}' before it can be enabled on table '{table}'.";
    tracked_key(constraint, table) = 3735, 16, 1, "The primary key constraint '{constraint}' on table '{table}' cannot be dropped because change tracking is enabled on the table. Change tracking requires a primary key constraint on the table. Disable change tracking before dropping the constraint.";
    tracking_table_on(table) = 4996, 16, 1, "Change tracking is already enabled for table '{table}'.";
    tracking_needs_key(table) = 4997, 16, 1, "Cannot enable change tracking on table '{table}'. Change tracking requires a primary key on the table. Create a primary key on the table before enabling change tracking.";
    tracking_table_off(table) = 4998, 16, 1, "Change tracking is not enabled on table '{table}'.";
    tracking_already(database) = 5088, 16, 1, "Change tracking is already enabled for database '{database}'.";
    tracking_disabled(database) = 5089, 16, 1, "Change tracking is disabled for database '{database}'. Change tracking must be enabled on a database to modify change tracking settings.";
    tracking_system(database) = 5090, 16, 1, "Database '{database}' is a system database. Change tracking settings cannot be modified for system databases.";
    tracking_retention(option) = 5092, 15, 1, "The value for change tracking option '{option}' is not valid. The value must be between 1 and 2147483647 minutes.";
    changes_alias() = 22104, 16, 1, "A table returned by the CHANGETABLE function must be aliased.";
    changes_untracked(table) = 22105, 16, 1, "Change tracking is not enabled on table '{table}'.";
    changes_object(name) = 22107, 16, 1, "Object '{name}' is of a data type that is not supported by the CHANGETABLE function. The object must be a user-defined table.";
    tracking_tables_on(database) = 22115, 16, 1, "Change tracking is enabled for one or more tables in database '{database}'. Disable change tracking on each table before disabling it for the database. Use the sys.change_tracking_tables catalog view to obtain a list of tables for which change tracking is enabled.";
    too_deep() = 191, 15, 1, "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.";
    not_updatable_table(name) = 259, 16, 1, "Ad hoc updates to system catalogs are not allowed.{name}";
}

/// 35100.
pub fn throw_number(number: i64) -> SqlError {
    SqlError::new(
        35100,
        16,
        10,
        format!(
            "Error number {number} in the THROW statement is outside the valid range. Specify an error number in the valid range of 50000 to 2147483647."
        ),
    )
}

/// 0: the attention's own end of a statement; never shown to a client.
pub fn cancelled() -> SqlError {
    SqlError::new(0, 11, 0, "Operation cancelled by user.").reaching(Reach::Batch)
}
