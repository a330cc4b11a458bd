using System;
using System.Collections.Generic;
using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Staff;

public enum Level
{
    Junior,
    Senior,
}

public readonly record struct Place(double X, double Y);

public sealed record Address(string Street, Place? Where);

public sealed record Person(string Name, int Age, List<string> Tags, Dictionary<string, double> Marks, Level Level)
{
    public Address? Home { get; init; }

    public DateTime? Born { get; set; }

    public int[] Numbers { get; set; } = [];

    public Person? Manager { get; set; }

    [JsonInclude]
    public string Note = "a field";
}

/// <summary>
/// What the source generator of System.Text.Json writes for
/// <c>[JsonSerializable(typeof(Person))] [JsonSerializable(typeof(List&lt;Person&gt;))]</c>.
/// </summary>
public sealed class StaffContext : JsonSerializerContext, IJsonTypeInfoResolver
{
    private const BindingFlags Members = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
    private static readonly JsonSerializerOptions DefaultOptions = new();
    private static readonly JsonEncodedText PropX = JsonEncodedText.Encode("X");
    private static readonly JsonEncodedText PropY = JsonEncodedText.Encode("Y");

    public StaffContext()
        : base(null)
    {
    }

    public StaffContext(JsonSerializerOptions options)
        : base(options)
    {
    }

    public static StaffContext Default { get; } = new(new JsonSerializerOptions(DefaultOptions));

    protected override JsonSerializerOptions? GeneratedSerializerOptions { get; } = DefaultOptions;

    public JsonTypeInfo<Person> Person => (JsonTypeInfo<Person>)this.Options.GetTypeInfo(typeof(Person));

    public JsonTypeInfo<List<Person>> ListPerson => (JsonTypeInfo<List<Person>>)this.Options.GetTypeInfo(typeof(List<Person>));

    public override JsonTypeInfo? GetTypeInfo(Type type)
    {
        this.Options.TryGetTypeInfo(type, out var info);
        return info;
    }

    JsonTypeInfo? IJsonTypeInfoResolver.GetTypeInfo(Type type, JsonSerializerOptions options)
    {
        if (type == typeof(Person))
        {
            return this.CreatePerson(options);
        }

        if (type == typeof(List<Person>))
        {
            return this.Adopt(TryRuntimeConverter<List<Person>>(options) ?? JsonMetadataServices.CreateListInfo<List<Person>, Person>(
                options, new JsonCollectionInfoValues<List<Person>> { ObjectCreator = () => [], SerializeHandler = null }));
        }

        if (type == typeof(List<string>))
        {
            return this.Adopt(TryRuntimeConverter<List<string>>(options) ?? JsonMetadataServices.CreateListInfo<List<string>, string>(
                options, new JsonCollectionInfoValues<List<string>> { ObjectCreator = () => [], SerializeHandler = WriteStrings }));
        }

        if (type == typeof(Dictionary<string, double>))
        {
            return this.Adopt(JsonMetadataServices.CreateDictionaryInfo<Dictionary<string, double>, string, double>(
                options, new JsonCollectionInfoValues<Dictionary<string, double>> { ObjectCreator = () => [], SerializeHandler = WriteMarks }));
        }

        if (type == typeof(int[]))
        {
            return this.Adopt(JsonMetadataServices.CreateArrayInfo<int>(
                options, new JsonCollectionInfoValues<int[]> { ObjectCreator = null, SerializeHandler = null }));
        }

        if (type == typeof(Address))
        {
            return this.CreateAddress(options);
        }

        if (type == typeof(Place))
        {
            return this.CreatePlace(options);
        }

        return (JsonTypeInfo?)Scalar<string>(type, options, JsonMetadataServices.StringConverter)
            ?? Scalar<int>(type, options, JsonMetadataServices.Int32Converter)
            ?? Scalar<double>(type, options, JsonMetadataServices.DoubleConverter)
            ?? Scalar<DateTime>(type, options, JsonMetadataServices.DateTimeConverter)
            ?? (type == typeof(Level) ? Scalar<Level>(type, options, JsonMetadataServices.GetEnumConverter<Level>(options)) : null)
            ?? (type == typeof(Place?) ? (JsonTypeInfo?)Scalar<Place?>(type, options, JsonMetadataServices.GetNullableConverter<Place>(options)) : null)
            ?? (type == typeof(DateTime?) ? (JsonTypeInfo?)Scalar<DateTime?>(type, options, JsonMetadataServices.GetNullableConverter<DateTime>(options)) : null);
    }

    private static JsonTypeInfo<T>? TryRuntimeConverter<T>(JsonSerializerOptions options)
    {
        foreach (var candidate in options.Converters)
        {
            if (candidate.CanConvert(typeof(T)))
            {
                var converter = candidate is JsonConverterFactory factory ? factory.CreateConverter(typeof(T), options)! : candidate;
                return JsonMetadataServices.CreateValueInfo<T>(options, converter);
            }
        }

        return null;
    }

    private JsonTypeInfo<T>? Scalar<T>(Type type, JsonSerializerOptions options, JsonConverter converter) =>
        type == typeof(T) ? this.Adopt(TryRuntimeConverter<T>(options) ?? JsonMetadataServices.CreateValueInfo<T>(options, converter)) : null;

    private JsonTypeInfo<T> Adopt<T>(JsonTypeInfo<T> info)
    {
        info.OriginatingResolver = this;
        return info;
    }

    private JsonTypeInfo<Person> CreatePerson(JsonSerializerOptions options)
    {
        var values = new JsonObjectInfoValues<Person>
        {
            ObjectCreator = null,
            ObjectWithParameterizedConstructorCreator = static args =>
                new Person((string)args[0], (int)args[1], (List<string>)args[2], (Dictionary<string, double>)args[3], (Level)args[4]) { Home = (Address?)args[5] },
            PropertyMetadataInitializer = _ => PersonProperties(options),
            ConstructorParameterMetadataInitializer = PersonParameters,
            ConstructorAttributeProviderFactory = static () => typeof(Person).GetConstructor(
                Members, null, [typeof(string), typeof(int), typeof(List<string>), typeof(Dictionary<string, double>), typeof(Level)], null)!,
            SerializeHandler = null,
        };
        var info = JsonMetadataServices.CreateObjectInfo(options, values);
        info.NumberHandling = null;
        return this.Adopt(info);
    }

    private static JsonPropertyInfo[] PersonProperties(JsonSerializerOptions options) =>
    [
        Property<Person, string>(options, "Name", static p => p.Name),
        Property<Person, int>(options, "Age", static p => p.Age),
        Property<Person, List<string>>(options, "Tags", static p => p.Tags),
        Property<Person, Dictionary<string, double>>(options, "Marks", static p => p.Marks),
        Property<Person, Level>(options, "Level", static p => p.Level),
        Property<Person, Address?>(options, "Home", static p => p.Home),
        Property<Person, DateTime?>(options, "Born", static p => p.Born, static (p, v) => p.Born = v),
        Property<Person, int[]>(options, "Numbers", static p => p.Numbers, static (p, v) => p.Numbers = v!),
        Property<Person, Person?>(options, "Manager", static p => p.Manager, static (p, v) => p.Manager = v),
        JsonMetadataServices.CreatePropertyInfo(options, new JsonPropertyInfoValues<string>
        {
            IsProperty = false,
            IsPublic = true,
            DeclaringType = typeof(Person),
            HasJsonInclude = true,
            PropertyName = "Note",
            Getter = static o => ((Person)o).Note,
            Setter = static (o, v) => ((Person)o).Note = v!,
            AttributeProviderFactory = static () => typeof(Person).GetField("Note", Members)!,
        }),
    ];

    private static JsonParameterInfoValues[] PersonParameters() =>
    [
        new() { Name = "Name", ParameterType = typeof(string), Position = 0, HasDefaultValue = false, DefaultValue = null, IsNullable = false },
        new() { Name = "Age", ParameterType = typeof(int), Position = 1, HasDefaultValue = false, DefaultValue = default(int) },
        new() { Name = "Tags", ParameterType = typeof(List<string>), Position = 2 },
        new() { Name = "Marks", ParameterType = typeof(Dictionary<string, double>), Position = 3 },
        new() { Name = "Level", ParameterType = typeof(Level), Position = 4, DefaultValue = default(Level) },
        new() { Name = "Home", ParameterType = typeof(Address), Position = 5, IsMemberInitializer = true, IsNullable = true },
    ];

    private JsonTypeInfo<Address> CreateAddress(JsonSerializerOptions options) => this.Adopt(JsonMetadataServices.CreateObjectInfo(
        options,
        new JsonObjectInfoValues<Address>
        {
            ObjectWithParameterizedConstructorCreator = static args => new Address((string)args[0], (Place?)args[1]),
            PropertyMetadataInitializer = _ =>
            [
                Property<Address, string>(options, "Street", static a => a.Street),
                Property<Address, Place?>(options, "Where", static a => a.Where),
            ],
            ConstructorParameterMetadataInitializer = static () =>
            [
                new() { Name = "Street", ParameterType = typeof(string), Position = 0 },
                new() { Name = "Where", ParameterType = typeof(Place?), Position = 1, IsNullable = true },
            ],
        }));

    private JsonTypeInfo<Place> CreatePlace(JsonSerializerOptions options) => this.Adopt(JsonMetadataServices.CreateObjectInfo(
        options,
        new JsonObjectInfoValues<Place>
        {
            ObjectWithParameterizedConstructorCreator = static args => new Place((double)args[0], (double)args[1]),
            PropertyMetadataInitializer = _ =>
            [
                Property<Place, double>(options, "X", static p => p.X),
                Property<Place, double>(options, "Y", static p => p.Y),
            ],
            ConstructorParameterMetadataInitializer = static () =>
            [
                new() { Name = "X", ParameterType = typeof(double), Position = 0, DefaultValue = 0.0 },
                new() { Name = "Y", ParameterType = typeof(double), Position = 1, DefaultValue = 0.0 },
            ],
            SerializeHandler = static (writer, value) =>
            {
                writer.WriteStartObject();
                writer.WriteNumber(PropX, value.X);
                writer.WriteNumber(PropY, value.Y);
                writer.WriteEndObject();
            },
        }));

    private static JsonPropertyInfo Property<TOwner, T>(
        JsonSerializerOptions options, string name, Func<TOwner, T> getter, Action<TOwner, T?>? setter = null)
    {
        var info = JsonMetadataServices.CreatePropertyInfo(options, new JsonPropertyInfoValues<T>
        {
            IsProperty = true,
            IsPublic = true,
            IsVirtual = false,
            DeclaringType = typeof(TOwner),
            Converter = null,
            Getter = o => getter((TOwner)o),
            Setter = setter is null
                ? static (_, _) => throw new InvalidOperationException("Setting init-only properties is not supported in source generation mode.")
                : (o, v) => setter((TOwner)o, v),
            IgnoreCondition = null,
            HasJsonInclude = false,
            IsExtensionData = false,
            NumberHandling = null,
            PropertyName = name,
            JsonPropertyName = null,
            AttributeProviderFactory = () => typeof(TOwner).GetProperty(name, Members, null, typeof(T), Type.EmptyTypes, null)!,
        });
        info.IsGetNullable = default(T) is null && name is "Home" or "Manager";
        return info;
    }

    private static void WriteStrings(Utf8JsonWriter writer, List<string>? value)
    {
        if (value is null)
        {
            writer.WriteNullValue();
            return;
        }

        writer.WriteStartArray();
        foreach (var item in value)
        {
            writer.WriteStringValue(item);
        }

        writer.WriteEndArray();
    }

    private static void WriteMarks(Utf8JsonWriter writer, Dictionary<string, double>? value)
    {
        if (value is null)
        {
            writer.WriteNullValue();
            return;
        }

        writer.WriteStartObject();
        foreach (var (key, mark) in value)
        {
            writer.WriteNumber(key, mark);
        }

        writer.WriteEndObject();
    }
}

/// <summary>Serializes by the context, and says what reflection makes of the same.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var boss = new Person("Grace", 85, [], [], Level.Senior);
        var ada = new Person("Ada", 36, ["a", Encoding.UTF8.GetString(input)], new() { ["math"] = 1.5 }, Level.Junior)
        {
            Home = new Address("Main St", new Place(1, -2.5)),
            Born = new DateTime(1815, 12, 10),
            Numbers = [1, 2, 3],
            Manager = boss,
        };
        var lines = new List<string>();
        var json = JsonSerializer.Serialize(ada, StaffContext.Default.Person);
        lines.Add(json);
        var back = JsonSerializer.Deserialize(json, StaffContext.Default.Person)!;
        lines.Add($"{back.Name} {back.Age} {back.Tags[1]} {back.Marks["math"]} {back.Level} {back.Home} {back.Born:s} {back.Manager!.Level} {back.Note}");
        lines.Add(JsonSerializer.Serialize(new List<Person> { boss, ada }, StaffContext.Default.ListPerson));
        lines.Add(JsonSerializer.Serialize(ada, typeof(Person), StaffContext.Default));
        lines.Add($"{JsonSerializer.Deserialize("[]", typeof(List<Person>), StaffContext.Default)}");

        var chained = new JsonSerializerOptions
        {
            PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
            Converters = { new JsonStringEnumConverter<Level>() },
            TypeInfoResolver = JsonTypeInfoResolver.Combine(new StaffContext(), new DefaultJsonTypeInfoResolver()),
        };
        lines.Add(JsonSerializer.Serialize(ada, chained));
        lines.Add(JsonSerializer.Serialize(new { Unknown = boss }, chained));
        lines.Add(JsonSerializer.Serialize(new Place(3, 4), new StaffContext().Options));
        lines.Add($"{JsonSerializer.Serialize(ada) == json}");
        foreach (var bad in (string[])["{\"Age\":\"x\"}", "[", "{\"Level\":\"None\"}"])
        {
            try
            {
                JsonSerializer.Deserialize(bad, StaffContext.Default.Person);
            }
            catch (JsonException e)
            {
                lines.Add(e.Message);
            }
        }

        try
        {
            JsonSerializer.Serialize(3m, typeof(decimal), StaffContext.Default);
        }
        catch (InvalidOperationException e)
        {
            lines.Add(e.Message);
        }

        return Encoding.UTF8.GetBytes(string.Join('\n', lines));
    }
}
